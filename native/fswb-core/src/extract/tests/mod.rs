mod add;
mod clock;
mod metadata;
mod paths;
mod record;
mod whiteouts;

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::*;
use crate::archive::testing::Tar;
use crate::archive::{Header, Limits, MemberKind};
use crate::baseline::Baseline;
use crate::entry::{Entry, Kind};
use crate::error::{Error, Result};
use crate::path::RelPath;
use crate::root::Root;
use crate::stack::Stack;

/// A root file system that layers are unpacked over. The stack of the same layers, read and not unpacked, is held against
/// it after each.
struct Rootfs {
    directory: tempfile::TempDir,
    root: Root,
    baseline: Baseline,
    stack: Stack,
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
            stack: Stack::new(true),
        }
    }

    fn apply(&mut self, layer: Tar) -> Result<UnpackedLayer> {
        let layer = layer.end();
        let unpacked = unpack_layer(
            &self.root,
            &mut self.baseline,
            layer.as_slice(),
            Limits::default(),
        );
        let stacked = self.stack.add(layer.as_slice(), Limits::default());
        match (&unpacked, &stacked) {
            (Ok(unpacked), Ok(stacked)) => {
                assert_eq!(unpacked.tar, stacked.tar);
                self.check();
                self.check_stack();
            }
            (unpacked, stacked) => assert_eq!(unpacked, stacked),
        }
        unpacked
    }

    fn with(mut self, layer: Tar) -> Self {
        self.apply(layer).unwrap();
        self
    }

    fn add(&self, dest: &str, archive: Tar) -> Result<Added> {
        add_archive(
            &self.root,
            &path(dest),
            archive.end().as_slice(),
            None,
            Limits::default(),
        )
    }

    fn at(&self, path: &str) -> PathBuf {
        self.directory.path().join("root").join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap()
    }

    /// Every path there is now.
    fn names(&self) -> Vec<String> {
        names(&self.baseline.paths().collect::<Vec<_>>())
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

impl Rootfs {
    /// The stack says of every entry what is on disk, as far as a tar tells it.
    fn check_stack(&self) {
        let paths: Vec<RelPath> = self.baseline.paths().collect();
        assert_eq!(self.stack.len(), paths.len());
        for path in paths.iter().chain([&RelPath::ROOT]) {
            let on_disk = self.baseline.entry(path).unwrap();
            let stacked = self.stack.entry(path).unwrap();
            let links = |entry: &Entry| match entry.kind {
                Kind::Directory => 0,
                _ => entry.nlink,
            };
            assert_eq!(links(&stacked), links(&on_disk), "{path:?}");
            let told = Entry {
                ctime_ns: 0,
                btime_ns: 0,
                dev: 0,
                ino: stacked.ino,
                nlink: stacked.nlink,
                racy: false,
                ..on_disk
            };
            let mut stacked = stacked;
            if path.is_root() {
                stacked.mtime_ns = told.mtime_ns;
            }
            if !rustix::process::geteuid().is_root() {
                (stacked.uid, stacked.gid) = (told.uid, told.gid);
            }
            assert_eq!(stacked, told, "{path:?}");
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
