use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use sha2::{Digest as _, Sha256 as Hasher};

use super::*;
use crate::archive::{Limits, Member, Reader};
use crate::change::{Change, Why};
use crate::extract::unpack_layer;

/// A root file system, its baseline as it was on creation, and the changes made since.
struct Rootfs {
    directory: tempfile::TempDir,
    root: Root,
    baseline: Baseline,
    changes: ChangeSet,
}

impl Rootfs {
    /// With these lower entries: a slash at the end makes a directory.
    fn new(lower: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("root")).unwrap();
        let root = Root::open(directory.path().join("root").as_os_str().as_bytes()).unwrap();
        for name in lower {
            let at = directory.path().join("root").join(name);
            if name.ends_with('/') {
                fs::create_dir(at).unwrap();
            } else {
                fs::write(at, *name).unwrap();
            }
        }
        let mut baseline = Baseline::empty(root.entry(&RelPath::ROOT).unwrap().unwrap());
        for name in lower {
            let path = RelPath::clean(name.as_bytes()).unwrap();
            baseline
                .put(&path, root.entry(&path).unwrap().unwrap())
                .unwrap();
        }
        Self {
            directory,
            root,
            baseline,
            changes: ChangeSet::default(),
        }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.directory.path().join("root").join(path)
    }

    /// Adds the change at a path, as reconcile finds it.
    fn changed(&mut self, path: &str) -> &mut Change {
        let path = RelPath::new(path).unwrap();
        let before = self.baseline.entry(&path);
        let after = self.root.entry(&path).unwrap();
        let (kind, why) = match (&before, &after) {
            (None, _) => (ChangeKind::Added, Why::empty()),
            (_, None) => (ChangeKind::Deleted, Why::empty()),
            (Some(before), Some(after)) if before.kind != after.kind => {
                (ChangeKind::Replaced, Why::empty())
            }
            _ => (ChangeKind::Modified, Why::CONTENT),
        };
        let change = Change {
            path: path.clone(),
            kind,
            why,
            before: before.map(std::sync::Arc::new),
            after: after.map(std::sync::Arc::new),
        };
        let at = self
            .changes
            .changes
            .partition_point(|known| known.path < path);
        self.changes.changes.insert(at, change);
        &mut self.changes.changes[at]
    }

    fn write(&mut self, path: &str, content: &str) {
        fs::write(self.at(path), content).unwrap();
        self.changed(path);
    }

    fn tar(&self) -> PathBuf {
        self.directory.path().join("layer.tar")
    }

    fn pack(&mut self, max_mtime: Option<i64>) -> Result<PackedLayer> {
        let output = File::create(self.tar()).unwrap();
        pack_layer(
            &self.root,
            &self.baseline,
            &mut self.changes,
            output,
            max_mtime,
            false,
            &|| Ok(()),
        )
    }

    fn members(&mut self) -> Vec<Member> {
        let packed = self.pack(None).unwrap();
        let content = fs::read(self.tar()).unwrap();
        assert_eq!(packed.tar.size, content.len() as u64);
        assert_eq!(
            packed.tar.sha256,
            <[u8; 32]>::from(Hasher::digest(&content))
        );
        let mut reader = Reader::new(content.as_slice(), false, Limits::default());
        let members: Vec<_> = std::iter::from_fn(|| reader.next_member().unwrap()).collect();
        assert_eq!(packed.entries, members.len() as u64);
        members
    }

    fn names(&mut self) -> Vec<String> {
        let members = self.members();
        members
            .into_iter()
            .map(|member| String::from_utf8(member.name).unwrap())
            .collect()
    }
}

fn refusal<T: std::fmt::Debug>(result: Result<T>) -> String {
    match result {
        Err(Error::Refused { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn b9_parents_come_along_with_their_own_metadata() {
    let mut rootfs = Rootfs::new(&["a/", "a/b/"]);
    fs::set_permissions(rootfs.at("a"), fs::Permissions::from_mode(0o1711)).unwrap();
    rootfs.write("a/b/f", "x");
    let members = rootfs.members();
    let modes: Vec<_> = members
        .iter()
        .map(|member| (member.name.as_slice(), member.mode))
        .collect();
    assert_eq!(modes[0], (&b"a/"[..], 0o1711));
    assert_eq!(rootfs.names(), ["a/", "a/b/", "a/b/f"]);
    assert_eq!(
        members[0].mtime_ns / 1_000_000_000,
        rootfs.at("a").metadata().unwrap().mtime()
    );
}

#[test]
fn the_root_is_listed_only_if_it_changed() {
    let mut rootfs = Rootfs::new(&[]);
    rootfs.write("f", "");
    assert_eq!(rootfs.names(), ["f"]);
    rootfs.changed("");
    assert_eq!(rootfs.names(), ["./", "f"]);
}

#[test]
fn no_changes_make_an_empty_tar() {
    assert_eq!(Rootfs::new(&[]).pack(None).unwrap().tar.size, 1024);
}

#[test]
fn c2_c4_whiteouts_come_sorted_after_their_directory_and_before_its_entries() {
    let mut rootfs = Rootfs::new(&["d/", "d/z", "d/y", "d/-", "top"]);
    rootfs.write("d/!", "");
    rootfs.write("a", "");
    for name in ["d/z", "d/y", "d/-", "top"] {
        fs::remove_file(rootfs.at(name)).unwrap();
        rootfs.changed(name);
    }
    let members = rootfs.members();
    assert_eq!(
        rootfs.names(),
        [".wh.top", "a", "d/", "d/.wh.-", "d/.wh.y", "d/.wh.z", "d/!"]
    );
    let whiteout = &members[0];
    assert_eq!((whiteout.mode, whiteout.uid, whiteout.gid), (0, 0, 0));
    assert_eq!((whiteout.size, whiteout.mtime_ns), (0, 0));
    assert_eq!(whiteout.kind, MemberKind::New(Kind::File));
}

#[test]
fn c1_c9_what_replaces_a_directory_needs_no_whiteout() {
    let mut rootfs = Rootfs::new(&["d/", "d/f", "g"]);
    fs::remove_dir_all(rootfs.at("d")).unwrap();
    symlink("elsewhere", rootfs.at("d")).unwrap();
    fs::remove_file(rootfs.at("g")).unwrap();
    fs::create_dir(rootfs.at("g")).unwrap();
    rootfs.changed("d");
    rootfs.changed("g");
    assert_eq!(rootfs.names(), ["d", "g/"]);
}

#[test]
fn c10_only_what_a_lower_layer_has_gets_a_whiteout() {
    let mut rootfs = Rootfs::new(&["d/", "d/f"]);
    fs::remove_file(rootfs.at("d/f")).unwrap();
    rootfs.changed("d/f");
    rootfs.baseline.remove(&RelPath::new("d/f").unwrap());
    assert_eq!(rootfs.names(), ["d/"]);
}

#[test]
fn c13_a_users_own_whiteout_name_is_refused() {
    let mut rootfs = Rootfs::new(&[]);
    fs::create_dir(rootfs.at(".wh.d")).unwrap();
    rootfs.write(".wh.d/f", "");
    assert!(refusal(rootfs.pack(None)).contains("rename it"));
}

#[test]
fn d4_d5_a_group_of_names_is_one_file_and_links_to_the_first() {
    let mut rootfs = Rootfs::new(&["a/"]);
    fs::write(rootfs.at("b"), "x").unwrap();
    fs::hard_link(rootfs.at("b"), rootfs.at("a/z")).unwrap();
    fs::hard_link(rootfs.at("b"), rootfs.at("a-")).unwrap();
    for name in ["b", "a/z", "a-"] {
        rootfs.changed(name);
    }
    let members = rootfs.members();
    let kinds: Vec<_> = members
        .iter()
        .map(|member| (member.name.as_slice(), member.kind, member.link.as_slice()))
        .collect();
    assert_eq!(
        kinds,
        [
            (&b"a/"[..], MemberKind::New(Kind::Directory), &b""[..]),
            (b"a/z", MemberKind::New(Kind::File), b""),
            (b"a-", MemberKind::HardLink, b"a/z"),
            (b"b", MemberKind::HardLink, b"a/z"),
        ]
    );
    let digest = Some(Hasher::digest(b"x").into());
    for change in &rootfs.changes.changes {
        assert_eq!(
            change.after.as_ref().unwrap().sha256,
            digest,
            "{:?}",
            change.path
        );
    }
}

#[test]
fn e3_attributes_are_kept() {
    let mut rootfs = Rootfs::new(&[]);
    rootfs.write("f", "x");
    let xattrs = vec![(b"security.capability".to_vec(), vec![1, 0, 0, 2, 10, 0])];
    std::sync::Arc::make_mut(rootfs.changes.changes[0].after.as_mut().unwrap())
        .xattrs
        .clone_from(&xattrs);
    assert_eq!(rootfs.members()[0].xattrs, xattrs);
}

#[test]
fn an_attribute_name_that_pax_cannot_hold_is_refused() {
    let mut rootfs = Rootfs::new(&[]);
    rootfs.write("f", "x");
    std::sync::Arc::make_mut(rootfs.changes.changes[0].after.as_mut().unwrap()).xattrs =
        vec![(b"user.a=b".to_vec(), vec![])];
    assert!(refusal(rootfs.pack(None)).contains("equals sign"));
}

#[test]
fn e6_times_are_rounded_down_and_never_later_than_the_epoch_asked_for() {
    let mut rootfs = Rootfs::new(&["d/"]);
    for (name, mtime_ns) in [
        ("d/early", -1),
        ("d/half", 1_999_999_999),
        ("d/late", 9_000_000_000),
    ] {
        rootfs.write(name, "");
        let change = rootfs.changes.changes.last_mut().unwrap();
        let file = File::options()
            .write(true)
            .open(rootfs.directory.path().join("root").join(name))
            .unwrap();
        let times = rustix::fs::Timestamps {
            last_access: rustix::fs::Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            last_modification: rustix::fs::Timespec {
                tv_sec: i64::div_euclid(mtime_ns, 1_000_000_000),
                tv_nsec: i64::rem_euclid(mtime_ns, 1_000_000_000),
            },
        };
        rustix::fs::futimens(&file, &times).unwrap();
        std::sync::Arc::make_mut(change.after.as_mut().unwrap()).mtime_ns = mtime_ns;
    }
    rootfs.pack(Some(5)).unwrap();
    let content = fs::read(rootfs.tar()).unwrap();
    let mut reader = Reader::new(content.as_slice(), false, Limits::default());
    let seconds: Vec<_> = std::iter::from_fn(|| reader.next_member().unwrap())
        .map(|member| member.mtime_ns / 1_000_000_000)
        .collect();
    assert_eq!(seconds, [5, -1, 1, 5]);
}

#[test]
fn e13_a_file_that_is_no_longer_what_was_compared_is_refused() {
    let change = |act: &dyn Fn(&Rootfs)| {
        let mut rootfs = Rootfs::new(&[]);
        rootfs.write("f", "12345");
        act(&rootfs);
        refusal(rootfs.pack(None))
    };
    assert!(change(&|rootfs| fs::write(rootfs.at("f"), "123456").unwrap()).contains("size"));
    assert!(change(&|rootfs| fs::write(rootfs.at("f"), "1").unwrap()).contains("size"));
    let swapped = change(&|rootfs| {
        fs::write(rootfs.at("g"), "12345").unwrap();
        fs::rename(rootfs.at("g"), rootfs.at("f")).unwrap();
    });
    assert!(swapped.contains("another file"));
    let fifo = change(&|rootfs| {
        fs::remove_file(rootfs.at("f")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            rootfs.at("f"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .unwrap();
    });
    assert!(fifo.contains("another file"));
    let mut rootfs = Rootfs::new(&[]);
    rootfs.write("f", "12345");
    std::sync::Arc::make_mut(rootfs.changes.changes[0].after.as_mut().unwrap()).sha256 =
        Some([0; 32]);
    assert!(refusal(rootfs.pack(None)).contains("content"));
}

#[test]
fn a_file_behind_a_planted_link_is_not_read() {
    let mut rootfs = Rootfs::new(&["d/"]);
    rootfs.write("d/f", "x");
    fs::rename(rootfs.at("d"), rootfs.directory.path().join("out")).unwrap();
    symlink(rootfs.directory.path().join("out"), rootfs.at("d")).unwrap();
    assert!(rootfs.pack(None).is_err());
}

#[test]
fn a_full_disk_is_an_error_with_its_cause() {
    let mut rootfs = Rootfs::new(&[]);
    rootfs.write("f", &"x".repeat(4 << 20));
    let full = File::options().write(true).open("/dev/full").unwrap();
    let packed = pack_layer(
        &rootfs.root,
        &rootfs.baseline,
        &mut rootfs.changes,
        full,
        None,
        false,
        &|| Ok(()),
    );
    assert!(matches!(
        packed,
        Err(Error::System {
            operation: "write",
            errno: libc::ENOSPC,
            ..
        })
    ));
}

#[test]
fn a_reader_that_went_away_is_an_ordinary_error() {
    let mut rootfs = Rootfs::new(&[]);
    rootfs.write("f", &"x".repeat(4 << 20));
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    drop(reader);
    let packed = pack_layer(
        &rootfs.root,
        &rootfs.baseline,
        &mut rootfs.changes,
        File::from(writer),
        None,
        false,
        &|| Ok(()),
    );
    assert!(matches!(
        packed,
        Err(Error::System {
            operation: "write",
            errno: libc::EPIPE,
            ..
        })
    ));
}

#[test]
fn base_and_layer_unpack_to_the_rootfs() {
    let mut rootfs = Rootfs::new(&["d/", "d/gone", "d/kept", "e/", "e/f"]);
    let mut base = Rootfs::new(&["d/", "d/gone", "d/kept", "e/", "e/f"]);
    fs::remove_file(rootfs.at("d/gone")).unwrap();
    fs::remove_dir_all(rootfs.at("e")).unwrap();
    rootfs.changed("d/gone");
    rootfs.changed("e");
    rootfs.changed("d");
    rootfs.write("d/new", &"y".repeat(700_000));
    symlink("d/new", rootfs.at("l")).unwrap();
    rootfs.changed("l");
    let packed = rootfs.pack(None).unwrap();
    let layer = File::open(rootfs.tar()).unwrap();
    let unpacked = unpack_layer(&base.root, &mut base.baseline, layer, Limits::default()).unwrap();
    assert_eq!(unpacked.tar, packed.tar);
    assert_eq!(unpacked.entries, packed.entries);
    for change in &rootfs.changes.changes {
        let there = base.baseline.entry(&change.path);
        let facts = |entry: &Entry| {
            let seconds = entry.mtime_ns.div_euclid(1_000_000_000);
            (
                entry.kind,
                entry.mode,
                entry.size,
                seconds,
                entry.target.clone(),
                entry.sha256,
            )
        };
        assert_eq!(
            there.as_ref().map(facts),
            change.after.as_deref().map(facts),
            "{:?}",
            change.path
        );
    }
    // The same states make the same bytes.
    assert_eq!(rootfs.pack(None).unwrap(), packed);
}
