//! What a layer hides (hazards C).

use super::*;

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
    assert_eq!(rootfs.apply(layer).unwrap().entries, 3);
    assert!(rootfs.baseline.is_empty());
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
    assert_eq!(Rootfs::new().with(layer).names(), ["f"]);
}

#[test]
fn a_whiteout_follows_no_link() {
    let mut rootfs = Rootfs::new().with(tar().file("d/f", "").symlink("l", "d"));
    rootfs.apply(tar().file(".wh.l", "")).unwrap();
    assert!(rootfs.exists("d/f") && !rootfs.exists("l"));
}

#[test]
fn an_opaque_root_hides_all_that_was() {
    let mut rootfs = Rootfs::new().with(tar().file("d/f", "").file("g", ""));
    rootfs
        .apply(tar().file("d/new", "").file(".wh..wh..opq", ""))
        .unwrap();
    assert!(rootfs.exists("d/new") && !rootfs.exists("d/f") && !rootfs.exists("g"));
}
