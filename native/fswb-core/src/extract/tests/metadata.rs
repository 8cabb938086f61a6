//! Metadata (hazards E), limits.

use super::*;

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
fn an_attribute_that_no_file_system_can_hold_is_lost_with_a_warning() {
    let xattrs = vec![
        (format!("user.{}", "n".repeat(300)).into(), b"1".to_vec()),
        (b"user.a".to_vec(), b"1".to_vec()),
        (b"user.large".to_vec(), vec![b'v'; 70_000]),
    ];
    let header = Header {
        xattrs: &xattrs,
        ..Tar::header("f", Kind::File)
    };
    let mut rootfs = Rootfs::new();
    let warnings = rootfs.apply(tar().put(&header)).unwrap().warnings;
    assert_eq!(warnings.len(), 2);
    assert!(warnings[0].ends_with("cannot hold the attribute user.large"));
    assert!(warnings[1].contains("cannot hold the attribute user.nnn"));
    let held = rootfs.baseline.entry(&path("f")).unwrap().xattrs;
    assert_eq!(held, [(b"user.a".to_vec(), b"1".to_vec())]);
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
    rootfs.apply(tar().file("f", "").put(&header)).unwrap();
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
    rootfs.apply(layer).unwrap();
    assert_eq!(rootfs.names(), ["a"]);
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
    let deep = "0123456789/".repeat(400);
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
    unpack(&mut rootfs, tar().file(&file, "x"));
    assert_eq!(rootfs.baseline.len(), 401);
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
