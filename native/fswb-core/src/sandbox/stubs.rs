//! Mount points that the root file system lacks: made for the run, removed after it, without a trace in the layer.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{self, AtFlags, Mode, OFlags, Timespec, Timestamps};

use crate::entry::{Entry, Kind};
use crate::error::{Context, Error, Result};
use crate::path::RelPath;
use crate::root::{Root, stat_at};

/// One mount point that we made.
#[derive(Debug)]
struct Stub {
    /// The directory it is in, held open: it is found again even if the run has moved that directory, and nothing that
    /// the run has put at the path is mistaken for it.
    directory: OwnedFd,
    path: RelPath,
    made: Entry,
    /// Held open, so that no file that the run makes gets its inode number.
    _inode: OwnedFd,
}

/// All mount points that we made, parents first.
#[derive(Debug, Default)]
pub(super) struct Stubs(Vec<Stub>);

impl Stubs {
    /// Makes sure that there is a directory at an exact path.
    pub(super) fn directory(&mut self, root: &Root, path: &RelPath) -> Result<()> {
        for level in path
            .ancestors()
            .skip(1)
            .chain(std::iter::once(path.clone()))
        {
            match root.entry(&level)? {
                None => self.make(root, &level, Kind::Directory)?,
                Some(entry) if entry.kind == Kind::Directory => {}
                Some(_) => {
                    let reason = "a RUN needs a directory here, and this is something else";
                    return Err(Error::refused(&level, reason));
                }
            }
        }
        Ok(())
    }

    /// Makes sure that there is something a file can be mounted over at an exact path.
    pub(super) fn file(&mut self, root: &Root, path: &RelPath) -> Result<()> {
        match root.entry(path)? {
            None => {
                if let Some(parent) = path.parent().filter(|parent| !parent.is_root()) {
                    self.directory(root, &parent)?;
                }
                self.make(root, path, Kind::File)
            }
            Some(entry) if entry.kind == Kind::Directory => {
                let reason = "a RUN needs a file here, and this is a directory";
                Err(Error::refused(path, reason))
            }
            Some(_) => Ok(()),
        }
    }

    fn make(&mut self, root: &Root, path: &RelPath, kind: Kind) -> Result<()> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return Err(Error::refused(path, "the root is no mount point"));
        };
        let directory = root.open_directory(&parent)?;
        let before = mtime(&directory, &parent)?;
        // The caller's umask must not show: the mode is set once more on the descriptor.
        let (flags, mode) = if kind == Kind::Directory {
            let mode = Mode::from_raw_mode(0o755);
            fs::mkdirat(&directory, name, mode).during("mkdirat", path)?;
            (OFlags::RDONLY | OFlags::DIRECTORY, mode)
        } else {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
            (flags, Mode::from_raw_mode(0o644))
        };
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let inode = fs::openat(&directory, name, flags, mode).during("openat", path)?;
        fs::fchmod(&inode, mode).during("fchmod", path)?;
        set_mtime(&directory, &parent, before)?;
        let made = stat_at(directory.as_fd(), name, path)?;
        let made = made.ok_or_else(|| Error::refused(path, "vanished while it was made"))?;
        self.0.push(Stub {
            directory,
            path: path.clone(),
            made,
            _inode: inode,
        });
        Ok(())
    }

    /// Removes every one that the run has left alone. What it has filled, changed or replaced is the run's own work.
    /// All are tried; the first error is returned.
    pub(super) fn remove(&mut self) -> Result<()> {
        let mut first = Ok(());
        while let Some(stub) = self.0.pop() {
            first = first.and(stub.remove());
        }
        first
    }
}

impl Stub {
    fn remove(&self) -> Result<()> {
        let Some(name) = self.path.name() else {
            return Ok(());
        };
        match stat_at(self.directory.as_fd(), name, &self.path)? {
            Some(now) if self.is_untouched(&now) => {}
            _ => return Ok(()),
        }
        let parent = self.path.parent().unwrap_or_default();
        let before = mtime(&self.directory, &parent)?;
        let flags = if self.made.kind == Kind::Directory {
            AtFlags::REMOVEDIR
        } else {
            AtFlags::empty()
        };
        match fs::unlinkat(&self.directory, name, flags) {
            // The run has put something into it, so it stays.
            Err(rustix::io::Errno::NOTEMPTY | rustix::io::Errno::EXIST) => Ok(()),
            result => {
                result.during("unlinkat", &self.path)?;
                set_mtime(&self.directory, &parent, before)
            }
        }
    }

    fn is_untouched(&self, now: &Entry) -> bool {
        let made = &self.made;
        (made.dev, made.ino, made.kind) == (now.dev, now.ino, now.kind)
            && (made.mode, made.uid, made.gid) == (now.mode, now.uid, now.gid)
            && (made.size, &made.xattrs) == (now.size, &now.xattrs)
    }
}

fn mtime(directory: &OwnedFd, path: &RelPath) -> Result<Timespec> {
    let stat = fs::fstat(directory).during("fstat", path)?;
    // The width of these fields depends on the architecture, and so does the need for a cast.
    #[allow(clippy::unnecessary_cast)]
    Ok(Timespec {
        tv_sec: stat.st_mtime as _,
        tv_nsec: stat.st_mtime_nsec as _,
    })
}

fn set_mtime(directory: &OwnedFd, path: &RelPath, mtime: Timespec) -> Result<()> {
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: fs::UTIME_OMIT,
        },
        last_modification: mtime,
    };
    fs::futimens(directory, &times).during("utimensat", path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::Path;

    use super::*;

    fn tree() -> (tempfile::TempDir, Root) {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::open(directory.path().as_os_str().as_bytes()).unwrap();
        (directory, root)
    }

    fn path(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    fn age(directory: &Path) -> (i64, i64) {
        let metadata = std::fs::metadata(directory).unwrap();
        (metadata.mtime(), metadata.mtime_nsec())
    }

    #[test]
    fn stubs_go_and_no_mtime_tells_of_them() {
        let (directory, root) = tree();
        let before = age(directory.path());
        let mut stubs = Stubs::default();
        stubs.directory(&root, &path("proc")).unwrap();
        stubs.file(&root, &path("etc/deep/resolv.conf")).unwrap();
        assert!(directory.path().join("etc/deep/resolv.conf").is_file());
        assert_eq!(age(directory.path()), before);
        stubs.remove().unwrap();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        assert_eq!(age(directory.path()), before);
    }

    #[test]
    fn a_stub_that_the_run_filled_or_changed_stays() {
        let (directory, root) = tree();
        let mut stubs = Stubs::default();
        stubs.file(&root, &path("etc/hosts")).unwrap();
        stubs.directory(&root, &path("proc")).unwrap();
        std::fs::write(directory.path().join("etc/motd"), "x").unwrap();
        let mode = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(directory.path().join("proc"), mode).unwrap();
        let before = age(&directory.path().join("etc"));
        stubs.remove().unwrap();
        assert!(!directory.path().join("etc/hosts").exists());
        assert!(directory.path().join("etc/motd").exists());
        assert!(directory.path().join("proc").exists());
        assert_eq!(age(&directory.path().join("etc")), before);
    }

    #[test]
    fn what_was_there_is_no_stub() {
        let (directory, root) = tree();
        std::fs::create_dir(directory.path().join("etc")).unwrap();
        std::fs::write(directory.path().join("etc/hosts"), "").unwrap();
        let mut stubs = Stubs::default();
        stubs.file(&root, &path("etc/hosts")).unwrap();
        stubs.remove().unwrap();
        assert!(directory.path().join("etc/hosts").exists());
    }

    #[test]
    fn a_link_planted_for_the_parent_does_not_lead_the_removal_astray() {
        let (directory, root) = tree();
        let (outside, _) = tree();
        std::fs::write(outside.path().join("hosts"), "").unwrap();
        let mut stubs = Stubs::default();
        stubs.file(&root, &path("etc/hosts")).unwrap();
        std::fs::rename(directory.path().join("etc"), directory.path().join("moved")).unwrap();
        symlink(outside.path(), directory.path().join("etc")).unwrap();
        stubs.remove().unwrap();
        assert!(outside.path().join("hosts").exists());
        assert!(!directory.path().join("moved/hosts").exists());
    }

    #[test]
    fn a_link_for_a_mount_point_is_refused() {
        let (directory, root) = tree();
        symlink("/etc", directory.path().join("proc")).unwrap();
        let refused = Stubs::default().directory(&root, &path("proc"));
        assert!(matches!(refused, Err(Error::Refused { .. })));
    }
}
