//! ADD of an archive.

use super::*;

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
