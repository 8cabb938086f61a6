//! The record is kept by another thread, a few members behind: what the archive does to them meanwhile must not show.

use proptest::prelude::*;

use super::*;
use crate::archive::testing::Tar;

/// What a member does, to one of few names: so that later ones meet those that are not recorded yet.
#[derive(Debug, Clone)]
enum Step {
    File(&'static str, u8),
    Directory(&'static str),
    Symlink(&'static str, &'static str),
    HardLink(&'static str, &'static str),
    Hide(&'static str),
}

const FILES: [&str; 6] = ["a", "b", "c", "d/a", "d/b", "e/a"];
const DIRECTORIES: [&str; 2] = ["d", "e"];

fn step() -> impl Strategy<Value = Step> {
    let file = || prop::sample::select(&FILES);
    let directory = || prop::sample::select(&DIRECTORIES);
    prop_oneof![
        32 => (file(), any::<u8>()).prop_map(|(name, byte)| Step::File(name, byte)),
        8 => directory().prop_map(Step::Directory),
        4 => (file(), file()).prop_map(|(name, to)| Step::Symlink(name, to)),
        16 => (file(), file())
            .prop_filter("another", |(name, to)| name != to)
            .prop_map(|(name, to)| Step::HardLink(name, to)),
        1 => prop_oneof![file(), directory()].prop_map(Step::Hide),
    ]
}

fn member(layer: Tar, step: &Step) -> Tar {
    match *step {
        Step::File(name, byte) => layer.file(name, &"x".repeat(byte.into())),
        Step::Directory(name) => layer.directory(name),
        Step::Symlink(name, target) => layer.symlink(name, target),
        Step::HardLink(name, target) => layer.hard_link(name, target),
        Step::Hide(name) => {
            let (directory, name) = name.rsplit_once('/').unwrap_or((".", name));
            layer.file(&format!("{directory}/.wh.{name}"), "")
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_layer_does_to_its_own_members_what_is_on_the_disk_is_recorded(
        layers in prop::collection::vec(prop::collection::vec(step(), 1..100), 1..4),
    ) {
        let all = FILES.iter().fold(tar(), |layer, name| layer.file(name, name));
        let mut rootfs = Rootfs::new().with(all);
        for steps in &layers {
            let layer = steps.iter().fold(tar(), member);
            // It holds the record against the disk, and a failure against that of the stack.
            if rootfs.apply(layer).is_err() {
                break;
            }
        }
    }
}

/// A capability of one byte, which no kernel takes (`EINVAL`).
fn bad_capability(layer: Tar, name: &str) -> Tar {
    let xattrs = vec![(b"security.capability".to_vec(), b"x".to_vec())];
    layer.put(&Header {
        xattrs: &xattrs,
        ..Tar::header(name, Kind::File)
    })
}

fn refused_by_the_kernel(name: &str) -> Error {
    Error::system("lsetxattr", name, rustix::io::Errno::INVAL)
}

fn failure(layer: Tar) -> Error {
    let mut rootfs = Rootfs::new();
    let layer = layer.end();
    let Rootfs { root, baseline, .. } = &mut rootfs;
    unpack_layer(root, baseline, layer.as_slice(), Limits::default()).unwrap_err()
}

#[test]
fn of_two_failures_the_first_in_the_archive_is_told() {
    let told = failure(bad_capability(tar(), "f").file("../g", ""));
    assert_eq!(told, refused_by_the_kernel("f"));
    let told = failure(bad_capability(tar().file("../g", ""), "f"));
    assert!(matches!(told, Error::Archive { .. }), "{told:?}");
}

#[test]
fn a_failure_of_the_record_ends_a_layer_of_many_files() {
    let many = (0..1000).fold(bad_capability(tar(), "f"), |layer, number| {
        layer.file(&number.to_string(), "")
    });
    assert_eq!(failure(many), refused_by_the_kernel("f"));
}

#[test]
fn files_that_are_held_and_files_that_are_not_have_their_content() {
    let sizes = [0, 1, 64 << 10, (64 << 10) + 1, 300_000];
    let layer = sizes.iter().fold(tar(), |layer, size| {
        layer.file(&size.to_string(), &"content".repeat(*size)[..*size])
    });
    let rootfs = Rootfs::new().with(layer);
    for size in sizes {
        assert_eq!(
            rootfs.read(&size.to_string()),
            "content".repeat(size)[..size]
        );
    }
}
