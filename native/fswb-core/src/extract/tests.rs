use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::*;
use crate::archive::testing::Tar;
use crate::archive::{Header, MemberKind};
use crate::baseline::Baseline;
use crate::entry::{Entry, Kind};
use crate::error::{Error, Result};
use crate::path::RelPath;
use crate::root::Root;

/// A root file system that layers are unpacked over.
struct Rootfs {
    directory: tempfile::TempDir,
    root: Root,
    baseline: Baseline,
}

impl Rootfs {
    fn new() -> Self {
        use std::os::unix::ffi::OsStrExt;
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("root")).unwrap();
        let root = Root::open(directory.path().join("root").as_os_str().as_bytes()).unwrap();
        let baseline = Baseline::empty(root.entry(&RelPath::ROOT).unwrap().unwrap());
        Self {
            directory,
            root,
            baseline,
        }
    }

    fn apply(&mut self, layer: Tar) -> Result<UnpackedLayer> {
        let unpacked = unpack_layer(
            &self.root,
            &mut self.baseline,
            layer.end().as_slice(),
            Limits::default(),
        );
        if unpacked.is_ok() {
            self.check();
        }
        unpacked
    }

    fn with(mut self, layer: Tar) -> Self {
        self.apply(layer).unwrap();
        self
    }

    fn add(&self, dest: &str, archive: Tar) -> Result<Added> {
        add_archive(&self.root, &path(dest), archive.end().as_slice(), None)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.directory.path().join("root").join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap()
    }

    fn exists(&self, path: &str) -> bool {
        self.at(path).symlink_metadata().is_ok()
    }

    /// The baseline is what is on disk: every entry, with the evidence it has now.
    fn check(&self) {
        let mut on_disk = vec![RelPath::ROOT];
        list(&self.at(""), &RelPath::ROOT, &mut on_disk);
        assert_eq!(self.baseline.len() + 1, on_disk.len());
        for path in on_disk {
            let recorded = self
                .baseline
                .entry(&path)
                .unwrap_or_else(|| panic!("{path:?} is not recorded"));
            let now = self.root.entry(&path).unwrap().unwrap();
            assert_eq!(
                Entry {
                    sha256: None,
                    ..recorded.clone()
                },
                now,
                "{path:?}"
            );
            if now.kind == Kind::File {
                use sha2::Digest as _;
                use std::os::unix::ffi::OsStrExt;
                let content = fs::read(
                    self.at("")
                        .join(std::ffi::OsStr::from_bytes(path.as_bytes())),
                )
                .unwrap();
                assert_eq!(
                    recorded.sha256,
                    Some(sha2::Sha256::digest(content).into()),
                    "{path:?}"
                );
            }
        }
    }
}

fn list(directory: &Path, path: &RelPath, found: &mut Vec<RelPath>) {
    use std::os::unix::ffi::OsStrExt;
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let below = path.join(entry.file_name().as_bytes()).unwrap();
        found.push(below.clone());
        if entry.file_type().unwrap().is_dir() {
            list(&entry.path(), &below, found);
        }
    }
}

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

fn tar() -> Tar {
    Tar::default()
}

fn names(paths: &[RelPath]) -> Vec<String> {
    paths
        .iter()
        .map(|path| String::from_utf8(path.as_bytes().to_vec()).unwrap())
        .collect()
}

fn reason<T: std::fmt::Debug>(result: Result<T>) -> String {
    match result {
        Err(Error::Archive { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

// Names and links (MUSEUM L)

#[test]
fn l1_a_name_with_dotdot_is_refused_and_nothing_leaves_the_root() {
    for name in ["../x", "a/../../x", "/../x", "a/.."] {
        let mut rootfs = Rootfs::new();
        assert!(
            reason(rootfs.apply(tar().file(name, "evil"))).contains(".."),
            "{name}"
        );
        assert!(
            reason(rootfs.add("", tar().file(name, "evil"))).contains(".."),
            "{name}"
        );
        assert!(
            reason(rootfs.apply(tar().hard_link("h", name))).contains(".."),
            "{name}"
        );
        assert!(!rootfs.directory.path().join("x").exists());
    }
}

#[test]
fn l2_a_file_through_a_link_stays_inside_the_root() {
    let mut rootfs = Rootfs::new();
    let outside = rootfs.directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let target = outside.to_str().unwrap().to_owned();
    rootfs
        .apply(tar().symlink("out", &target).file("out/f", "x"))
        .unwrap();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert_eq!(
        rootfs.read(&format!("{}/f", target.trim_start_matches('/'))),
        "x"
    );
}

#[test]
fn l2_a_file_over_a_link_replaces_the_link() {
    let mut rootfs = Rootfs::new();
    let victim = rootfs.directory.path().join("victim");
    fs::write(&victim, "kept").unwrap();
    let layer = tar()
        .symlink("l", victim.to_str().unwrap())
        .file("l", "new");
    rootfs.apply(layer).unwrap();
    assert_eq!(fs::read_to_string(victim).unwrap(), "kept");
    assert_eq!(rootfs.read("l"), "new");
}

#[test]
fn l3_a_link_with_surplus_dotdot_is_clamped_at_the_root() {
    let layer = tar()
        .directory("usr/bin")
        .symlink("bin", "../../../usr/bin")
        .file("bin/sh", "#!");
    assert_eq!(Rootfs::new().with(layer).read("usr/bin/sh"), "#!");
}

#[test]
fn l4_the_root_of_a_layer_stays_a_directory() {
    for layer in [
        tar().symlink("./", "/tmp"),
        tar().symlink(".", "/tmp"),
        tar().file("/", "x"),
    ] {
        let mut rootfs = Rootfs::new();
        if let Err(error) = rootfs.apply(layer) {
            assert!(matches!(error, Error::Archive { .. }));
        }
        assert!(rootfs.at("").symlink_metadata().unwrap().is_dir());
    }
    let link = tar().hard_link("./", "f");
    assert!(reason(Rootfs::new().with(tar().file("f", "")).apply(link)).contains("root"));
}

#[test]
fn a_layer_under_a_merged_bin_lands_in_usr() {
    let mut rootfs = Rootfs::new().with(tar().file("usr/bin/old", "").symlink("bin", "usr/bin"));
    let unpacked = rootfs
        .apply(tar().file("bin/new", "x").file("bin/.wh.old", ""))
        .unwrap();
    assert_eq!(names(&unpacked.paths), ["usr/bin/new", "usr/bin/old"]);
    assert!(rootfs.at("bin").symlink_metadata().unwrap().is_symlink());
    assert!(!rootfs.exists("usr/bin/old"));
}

#[test]
fn a_file_below_a_file_is_refused() {
    let mut rootfs = Rootfs::new().with(tar().file("f", ""));
    assert!(reason(rootfs.apply(tar().file("f/x", ""))).contains("directory"));
}

#[test]
fn a_chain_of_links_without_end_is_an_error() {
    let mut rootfs = Rootfs::new();
    let looped = rootfs.apply(tar().symlink("a", "b").symlink("b", "a").file("a/f", ""));
    assert!(matches!(
        looped,
        Err(Error::System {
            errno: libc::ELOOP,
            ..
        })
    ));
}

// Whiteouts (MUSEUM C)

#[test]
fn c1_a_directory_that_becomes_a_link_takes_its_files_along() {
    let mut rootfs = Rootfs::new().with(tar().file("d/f", "").directory("e"));
    rootfs
        .apply(tar().symlink("d", "e").file("d/g", "x"))
        .unwrap();
    assert_eq!(rootfs.read("e/g"), "x");
    assert!(!rootfs.exists("e/f"));
}

#[test]
fn c3_c7_whiteouts_hide_lower_entries_in_whatever_order() {
    for layer in [
        tar().file(".wh.d", "").directory("d").file("d/new", "x"),
        tar().directory("d").file("d/new", "x").file(".wh.d", ""),
        tar()
            .directory("d")
            .file("d/.wh..wh..opq", "")
            .file("d/new", "x"),
        tar()
            .directory("d")
            .file("d/new", "x")
            .file("d/.wh..wh..opq", ""),
        tar()
            .file("d/new", "x")
            .file("d/.wh..wh..opq", "")
            .directory("d"),
    ] {
        let mut rootfs = Rootfs::new().with(tar().file("d/old", "").file("d/sub/old", ""));
        rootfs.apply(layer).unwrap();
        assert_eq!(rootfs.read("d/new"), "x");
        assert!(!rootfs.exists("d/old") && !rootfs.exists("d/sub"));
    }
}

#[test]
fn c7_an_opaque_directory_hides_lower_files_below_its_own_directories() {
    let mut rootfs = Rootfs::new().with(tar().file("d/s/old", "").file("d/s/same", "1"));
    rootfs
        .apply(tar().file("d/s/same", "2").file("d/.wh..wh..opq", ""))
        .unwrap();
    assert_eq!(rootfs.read("d/s/same"), "2");
    assert!(!rootfs.exists("d/s/old"));
}

#[test]
fn c8_an_opaque_mark_over_a_lower_link_leaves_its_target_alone() {
    let mut rootfs = Rootfs::new().with(tar().file("target/kept", "").symlink("d", "target"));
    rootfs
        .apply(
            tar()
                .file("d/.wh..wh..opq", "")
                .directory("d")
                .file("d/f", "x"),
        )
        .unwrap();
    assert!(rootfs.exists("target/kept"));
    assert!(rootfs.at("d").symlink_metadata().unwrap().is_dir());
}

#[test]
fn c9_d10_a_directory_takes_the_place_of_a_file_or_link() {
    let base = tar()
        .file("f", "")
        .file("target/kept", "")
        .symlink("l", "target");
    let mut rootfs = Rootfs::new().with(base);
    rootfs
        .apply(
            tar()
                .directory("f")
                .file("f/x", "")
                .directory("l")
                .file("l/x", ""),
        )
        .unwrap();
    assert!(rootfs.exists("f/x") && rootfs.exists("l/x") && rootfs.exists("target/kept"));
    assert!(!rootfs.exists("target/x"));
    rootfs.apply(tar().file("f", "again")).unwrap();
    assert_eq!(rootfs.read("f"), "again");
}

#[test]
fn c11_a_whiteout_of_nothing_is_accepted() {
    let mut rootfs = Rootfs::new();
    let layer = tar()
        .file(".wh.x", "")
        .file("no/such/.wh.y", "")
        .file("no/.wh..wh..opq", "");
    assert_eq!(rootfs.apply(layer).unwrap().paths, []);
}

#[test]
fn c12_a_whiteout_that_names_nothing_is_refused() {
    for name in [".wh.", "d/.wh.", ".wh..", ".wh...", ".wh.d/f"] {
        let mut rootfs = Rootfs::new().with(tar().file("d/f", ""));
        assert!(
            reason(rootfs.apply(tar().file(name, ""))).contains("whiteout"),
            "{name}"
        );
        assert!(rootfs.exists("d/f"));
    }
}

#[test]
fn bookkeeping_of_aufs_is_passed_over() {
    let layer = tar()
        .directory(".wh..wh.plnk")
        .file(".wh..wh.plnk/1.2", "")
        .file(".wh..wh.aufs", "")
        .file("f", "");
    assert_eq!(names(&Rootfs::new().apply(layer).unwrap().paths), ["f"]);
}

#[test]
fn a_whiteout_follows_no_link() {
    let mut rootfs = Rootfs::new().with(tar().file("d/f", "").symlink("l", "d"));
    rootfs.apply(tar().file(".wh.l", "")).unwrap();
    assert!(rootfs.exists("d/f") && !rootfs.exists("l"));
}

// Links (MUSEUM D)

#[test]
fn d2_hard_link_targets_are_below_the_root_with_or_without_slash() {
    let rootfs = Rootfs::new().with(
        tar()
            .file("f", "x")
            .hard_link("g", "/f")
            .hard_link("h", "./f"),
    );
    assert_eq!(rootfs.at("g").metadata().unwrap().nlink(), 3);
}

#[test]
fn d5_a_link_to_a_lower_file_renews_the_evidence_of_all_names() {
    let mut rootfs = Rootfs::new().with(tar().file("a", "x").hard_link("b", "a").file("c", ""));
    // `apply` compares the record of every name with the disk.
    rootfs.apply(tar().hard_link("d", "a")).unwrap();
    rootfs.apply(tar().file(".wh.a", "")).unwrap();
    rootfs.apply(tar().file("b", "parted")).unwrap();
    assert_eq!(rootfs.read("d"), "x");
    assert_eq!(rootfs.baseline.entry(&path("d")).unwrap().nlink, 1);
    rootfs
        .apply(tar().file("e/x", "").hard_link("e/y", "d"))
        .unwrap();
    rootfs.apply(tar().file(".wh.e", "")).unwrap();
}

#[test]
fn a_hard_link_to_what_is_not_there_is_refused() {
    let base = || Rootfs::new().with(tar().file("d/f", "x").symlink("l", "/etc"));
    assert!(reason(base().apply(tar().hard_link("h", "no"))).contains("does not exist"));
    assert!(reason(base().apply(tar().hard_link("h", "no/f"))).contains("does not exist"));
    assert!(reason(base().apply(tar().hard_link("h", "d"))).contains("directory"));
    assert!(reason(base().apply(tar().hard_link("h", "/"))).contains("directory"));
    assert!(reason(base().apply(tar().hard_link("d/f", "d/f"))).contains("itself"));
    assert!(reason(base().apply(tar().hard_link("d", "d/f"))).contains("does not exist"));
    assert!(reason(base().apply(tar().hard_link("h", "l/passwd"))).contains("does not exist"));
}

#[test]
fn a_hard_link_to_a_link_is_one_more_name_of_the_link() {
    let rootfs = Rootfs::new().with(tar().symlink("l", "/etc/passwd").hard_link("m", "l"));
    assert!(rootfs.at("m").symlink_metadata().unwrap().is_symlink());
}

// Metadata (MUSEUM E)

#[test]
fn e1_set_user_id_survives_the_change_of_owner() {
    let header = Header {
        mode: 0o6755,
        ..Tar::header("su", Kind::File)
    };
    let sticky = Header {
        mode: 0o1777,
        ..Tar::header("tmp", Kind::Directory)
    };
    let rootfs = Rootfs::new().with(tar().put(&header).put(&sticky));
    assert_eq!(
        rootfs.at("su").metadata().unwrap().permissions().mode() & 0o7777,
        0o6755
    );
    assert_eq!(
        rootfs.at("tmp").metadata().unwrap().permissions().mode() & 0o7777,
        0o1777
    );
}

#[test]
fn e4_attributes_come_last_and_host_attributes_never() {
    let xattrs = vec![
        (b"user.a".to_vec(), b"1".to_vec()),
        (b"user.overlay.opaque".to_vec(), b"y".to_vec()),
    ];
    let with = |kind, name| Header {
        xattrs: &xattrs,
        ..Tar::header(name, kind)
    };
    let link = Header {
        link: b"f",
        ..with(Kind::Symlink, "l")
    };
    let layer = tar()
        .put(&with(Kind::File, "f"))
        .put(&with(Kind::Directory, "d"))
        .put(&link);
    let mut rootfs = Rootfs::new();
    let unpacked = rootfs.apply(layer).unwrap();
    let wanted = vec![(b"user.a".to_vec(), b"1".to_vec())];
    assert_eq!(rootfs.baseline.entry(&path("f")).unwrap().xattrs, wanted);
    assert_eq!(rootfs.baseline.entry(&path("d")).unwrap().xattrs, wanted);
    assert_eq!(
        unpacked.warnings,
        ["l: the file system cannot hold the attribute user.a"]
    );
    // The upper layer's word on a directory is the last.
    rootfs.apply(tar().directory("d")).unwrap();
    assert_eq!(rootfs.baseline.entry(&path("d")).unwrap().xattrs, []);
}

#[test]
fn e7_times_are_set_those_of_directories_last() {
    let base = tar()
        .directory("d")
        .file("d/f", "")
        .symlink("d/l", "f")
        .directory("d/e")
        .file("d/e/x", "");
    let mut rootfs = Rootfs::new().with(base);
    for name in ["d", "d/f", "d/l", "d/e", "d/e/x"] {
        assert_eq!(
            rootfs.at(name).symlink_metadata().unwrap().mtime(),
            1_000_000_000,
            "{name}"
        );
    }
    // Nobody listed `d` and the root: they keep their times.
    let root = rootfs.at("").metadata().unwrap().modified().unwrap();
    rootfs
        .apply(tar().file("d/.wh.f", "").file("d/g", "").file("h", ""))
        .unwrap();
    assert_eq!(rootfs.at("d").metadata().unwrap().mtime(), 1_000_000_000);
    assert_eq!(rootfs.at("").metadata().unwrap().modified().unwrap(), root);
}

#[test]
fn e8_odd_and_negative_times_are_accepted() {
    let early = Header {
        mtime: -1,
        ..Tar::header("early", Kind::File)
    };
    let late = Header {
        mtime: i64::MAX,
        ..Tar::header("late", Kind::Directory)
    };
    let rootfs = Rootfs::new().with(tar().put(&early).put(&late));
    assert_eq!(rootfs.at("early").metadata().unwrap().mtime(), -1);
}

#[test]
fn e9_the_time_of_a_link_is_not_its_targets() {
    let target = Header {
        mtime: 5,
        ..Tar::header("f", Kind::File)
    };
    let rootfs = Rootfs::new().with(tar().put(&target).symlink("l", "f"));
    assert_eq!(rootfs.at("f").metadata().unwrap().mtime(), 5);
    assert_eq!(
        rootfs.at("l").symlink_metadata().unwrap().mtime(),
        1_000_000_000
    );
}

#[test]
fn the_root_entry_sets_the_metadata_of_the_root() {
    let header = Header {
        mode: 0o700,
        ..Tar::header("./", Kind::Directory)
    };
    let mut rootfs = Rootfs::new();
    let unpacked = rootfs.apply(tar().file("f", "").put(&header)).unwrap();
    assert_eq!(names(&unpacked.paths), ["", "f"]);
    assert_eq!(
        rootfs.at("").metadata().unwrap().permissions().mode() & 0o7777,
        0o700
    );
    assert_eq!(rootfs.at("").metadata().unwrap().mtime(), 1_000_000_000);
}

#[test]
fn fifos_are_made_and_absent_parents_too() {
    let rootfs = Rootfs::new().with(tar().put(&Tar::header("a/b/p", Kind::Fifo)));
    assert!(
        rootfs
            .at("a/b/p")
            .symlink_metadata()
            .unwrap()
            .file_type()
            .is_fifo()
    );
    let parent = rootfs.at("a/b").metadata().unwrap();
    assert_eq!(
        (parent.permissions().mode() & 0o7777, parent.mtime()),
        (0o755, 0)
    );
}

#[test]
fn an_entry_that_comes_twice_is_the_last_one() {
    let mut rootfs = Rootfs::new();
    let layer = tar()
        .file("a", "1")
        .file("a", "2")
        .directory("a")
        .file("a/x", "")
        .file("a", "3");
    assert_eq!(names(&rootfs.apply(layer).unwrap().paths), ["a"]);
    assert_eq!(rootfs.read("a"), "3");
}

#[test]
fn a_link_that_moves_while_its_directory_is_open_is_followed_anew() {
    let base = tar().directory("a").directory("b").symlink("l", "a");
    let mut rootfs = Rootfs::new().with(base);
    rootfs
        .apply(tar().file("l/1", "").symlink("l", "b").file("l/2", ""))
        .unwrap();
    assert!(rootfs.exists("a/1") && rootfs.exists("b/2"));
    rootfs
        .apply(
            tar()
                .file("a/3", "")
                .file("a", "")
                .directory("a")
                .file("a/4", ""),
        )
        .unwrap();
    assert!(!rootfs.exists("a/3") && rootfs.exists("a/4"));
}

#[test]
fn k13_a_tree_deeper_than_a_path_may_be_is_written_and_removed() {
    let deep = "0123456789/".repeat(800);
    let mut rootfs = Rootfs::new();
    let file = format!("{deep}f");
    let unpack = |rootfs: &mut Rootfs, layer: Tar| {
        unpack_layer(
            &rootfs.root,
            &mut rootfs.baseline,
            layer.end().as_slice(),
            Limits::default(),
        )
        .unwrap()
    };
    assert_eq!(unpack(&mut rootfs, tar().file(&file, "x")).paths.len(), 801);
    assert_eq!(rootfs.root.entry(&path(&file)).unwrap().unwrap().size, 1);
    unpack(&mut rootfs, tar().file(".wh.0123456789", ""));
    assert!(!rootfs.exists("0123456789") && rootfs.baseline.is_empty());
}

#[test]
fn l18_an_archive_beyond_its_limits_is_refused() {
    let mut rootfs = Rootfs::new();
    let layer = tar().file("a", "").file("b", "").end();
    let mut unpack =
        |limits| unpack_layer(&rootfs.root, &mut rootfs.baseline, layer.as_slice(), limits);
    let size = layer.len() as u64;
    assert!(
        unpack(Limits {
            max_bytes: Some(size),
            max_entries: Some(2)
        })
        .is_ok()
    );
    assert!(
        reason(unpack(Limits {
            max_bytes: Some(size - 1),
            max_entries: None
        }))
        .contains("limit")
    );
    assert!(
        reason(unpack(Limits {
            max_bytes: None,
            max_entries: Some(1)
        }))
        .contains("limit")
    );
}

// ADD of an archive (DOCKERFILE C15)

fn populated() -> Rootfs {
    let rootfs = Rootfs::new();
    fs::create_dir_all(rootfs.at("d/sub")).unwrap();
    fs::write(rootfs.at("d/sub/kept"), "kept").unwrap();
    symlink("/d", rootfs.at("to-d")).unwrap();
    rootfs
}

#[test]
fn f9_the_root_entry_leaves_the_destination_alone() {
    let rootfs = populated();
    let before = rootfs.at("d").metadata().unwrap();
    let root = Header {
        mode: 0o700,
        ..Tar::header("./", Kind::Directory)
    };
    let added = rootfs.add("d", tar().put(&root).file("./f", "x")).unwrap();
    assert_eq!(names(&added.paths), ["d/f"]);
    let after = rootfs.at("d").metadata().unwrap();
    assert_eq!(
        (after.mode(), after.modified().unwrap()),
        (before.mode(), before.modified().unwrap())
    );
}

#[test]
fn an_added_archive_merges_directories_and_lists_what_it_wrote() {
    let rootfs = populated();
    let archive = tar()
        .directory("sub")
        .file("sub/new", "xyz")
        .file("other/f", "");
    let added = rootfs.add("to-d", archive).unwrap();
    assert_eq!(
        names(&added.paths),
        ["d/other", "d/other/f", "d/sub", "d/sub/new"]
    );
    assert_eq!((added.files, added.size), (2, 3));
    assert_eq!(rootfs.read("d/sub/kept"), "kept");
    assert_eq!(
        rootfs.at("d/sub").metadata().unwrap().mtime(),
        1_000_000_000
    );
}

#[test]
fn an_absent_destination_is_made_and_listed() {
    let added = populated().add("x/y", tar().file("f", "")).unwrap();
    assert_eq!(names(&added.paths), ["x", "x/y", "x/y/f"]);
}

#[test]
fn a_destination_that_is_a_file_is_no_directory() {
    let added = populated().add("d/sub/kept", tar().file("f", ""));
    assert!(matches!(
        added,
        Err(Error::System {
            errno: libc::ENOTDIR,
            ..
        })
    ));
}

#[test]
fn links_in_an_added_archive_are_relative_to_the_destination() {
    let rootfs = populated();
    let archive = tar()
        .file("f", "x")
        .hard_link("g", "/f")
        .symlink("l", "/etc/passwd");
    let added = rootfs.add("d", archive).unwrap();
    assert_eq!(
        rootfs.at("d/g").metadata().unwrap().ino(),
        rootfs.at("d/f").metadata().unwrap().ino()
    );
    assert_eq!(
        fs::read_link(rootfs.at("d/l")).unwrap(),
        Path::new("/etc/passwd")
    );
    assert_eq!(added.files, 1);
}

#[test]
fn c13_a_whiteout_name_in_an_added_archive_is_refused() {
    assert!(reason(populated().add("d", tar().file(".wh.sub", ""))).contains(".wh."));
    assert!(reason(populated().add("d", tar().file(".wh.x/f", ""))).contains(".wh."));
}

#[test]
fn a_kind_that_is_replaced_takes_its_listed_files_along() {
    let rootfs = populated();
    let added = rootfs
        .add("", tar().file("n/f", "").file("n", "x").file("d/sub", "y"))
        .unwrap();
    assert_eq!(names(&added.paths), ["d/sub", "n"]);
    assert_eq!(rootfs.read("d/sub"), "y");
}

#[test]
fn a_hard_link_member_is_no_entry_of_its_own() {
    // The header of a link repeats the inode's metadata; what it says is not applied.
    let header = Header {
        mode: 0o777,
        link: b"f",
        kind: MemberKind::HardLink,
        ..Tar::header("g", Kind::File)
    };
    let rootfs = Rootfs::new().with(tar().file("f", "").put(&header));
    assert_eq!(
        rootfs.at("f").metadata().unwrap().permissions().mode() & 0o7777,
        0o644
    );
}
