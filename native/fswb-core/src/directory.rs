//! Listing and making directories in a root file system.

use std::os::fd::AsFd;

use rustix::fs::{self, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use crate::copy::metadata::{Times, set_owner_and_mode};
use crate::descent::names;
use crate::error::{Context, Error, Result};
use crate::path::RelPath;
use crate::root::Root;

impl Root {
    /// Sorted names in a directory, by its exact path.
    pub fn names(&self, path: &RelPath) -> Result<Vec<Vec<u8>>> {
        names(self.open_directory(path)?.as_fd(), path)
    }

    /// Gives a directory, by its exact path, an owner.
    pub fn own_directory(&self, path: &RelPath, owner: (u32, u32)) -> Result<()> {
        let fd = self.open_directory(path)?;
        let (uid, gid) = (Uid::from_raw(owner.0), Gid::from_raw(owner.1));
        fs::fchown(fd, Some(uid), Some(gid)).during("fchown", path)
    }

    /// Makes all missing levels of an exact path with this mode and owner, and returns them, parents first. An existing
    /// parent keeps its time of modification. An existing entry that is no directory is `ENOTDIR`.
    pub fn make_directories(
        &self,
        path: &RelPath,
        mode: u32,
        owner: (u32, u32),
    ) -> Result<Vec<RelPath>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut made = Vec::new();
        let mut kept = None;
        let mut parent = self.open_directory(&RelPath::ROOT)?;
        let mut parent_path = RelPath::ROOT;
        for name in path.parts() {
            let here = parent_path.join(name)?;
            let child = match fs::openat(&parent, name, flags, Mode::empty()) {
                Err(Errno::NOENT) => {
                    if kept.is_none() {
                        let times = Times::of(parent.as_fd(), &parent_path)?;
                        let fd = parent.try_clone().during("fcntl", &parent_path)?;
                        kept = Some((fd, times, parent_path));
                    }
                    fs::mkdirat(&parent, name, Mode::RWXU).during("mkdirat", &here)?;
                    let child =
                        fs::openat(&parent, name, flags, Mode::empty()).during("openat", &here)?;
                    set_owner_and_mode(child.as_fd(), owner, mode, &here)?;
                    made.push(here.clone());
                    child
                }
                // A link: the caller resolved the path, so it leads to no directory.
                Err(Errno::LOOP) => return Err(Error::system("openat", &here, Errno::NOTDIR)),
                result => result.during("openat", &here)?,
            };
            parent = child;
            parent_path = here;
        }
        if let Some((fd, times, path)) = kept {
            times.set(fd.as_fd(), &path)?;
        }
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    #[test]
    fn missing_levels_are_made_and_the_parent_keeps_its_time() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::open(directory.path().as_os_str().as_bytes()).unwrap();
        std::fs::create_dir(directory.path().join("a")).unwrap();
        let before = std::fs::metadata(directory.path().join("a")).unwrap();
        let owner = (before.uid(), before.gid());
        let path = RelPath::new("a/b/c").unwrap();
        let made = root.make_directories(&path, 0o755, owner).unwrap();
        assert_eq!(made, [RelPath::new("a/b").unwrap(), path.clone()]);
        let after = std::fs::metadata(directory.path().join("a")).unwrap();
        assert_eq!(before.modified().unwrap(), after.modified().unwrap());
        let made = std::fs::metadata(directory.path().join("a/b/c")).unwrap();
        assert_eq!(made.permissions().mode() & 0o7777, 0o755);
        assert!(
            root.make_directories(&path, 0o755, owner)
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn a_file_on_the_way_is_no_directory() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::open(directory.path().as_os_str().as_bytes()).unwrap();
        std::fs::write(directory.path().join("f"), "").unwrap();
        std::os::unix::fs::symlink("f", directory.path().join("l")).unwrap();
        for path in ["f/x", "f", "l/x"] {
            let failed = root.make_directories(&RelPath::new(path).unwrap(), 0o755, (0, 0));
            assert!(
                matches!(
                    failed,
                    Err(Error::System {
                        errno: libc::ENOTDIR,
                        ..
                    })
                ),
                "{path}: {failed:?}"
            );
        }
    }
}
