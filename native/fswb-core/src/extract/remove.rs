//! Removing a name and everything below it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{self, AtFlags, Mode, OFlags, RawDir};
use rustix::io::Errno;

use crate::error::{Context, Error, Result};
use crate::path::RelPath;

/// Removes `name` in an open directory, whatever it is; it need not exist. Links are not followed. `path` is for messages.
///
/// Depth is bounded neither by the stack nor by the number of descriptors: the way up is `..`, checked to be the
/// directory we came from.
pub(super) fn remove_all(parent: BorrowedFd<'_>, name: &[u8], path: &RelPath) -> Result<()> {
    if unlinked(parent, name, path)? {
        return Ok(());
    }
    let mut at = open(parent, name, path)?;
    let mut way = vec![Level {
        name: name.to_vec(),
        inode: inode(parent, path)?,
    }];
    loop {
        if let Some(child) = empty(at.as_fd(), path)? {
            let below = open(at.as_fd(), &child, path)?;
            way.push(Level {
                name: child,
                inode: inode(at.as_fd(), path)?,
            });
            at = below;
            continue;
        }
        let Some(level) = way.pop() else {
            return Ok(());
        };
        if way.is_empty() {
            return remove_empty(parent, &level.name, path);
        }
        let above = open(at.as_fd(), b"..", path)?;
        if inode(above.as_fd(), path)? != level.inode {
            return Err(Error::refused(
                path,
                "a directory was moved while it was being removed",
            ));
        }
        remove_empty(above.as_fd(), &level.name, path)?;
        at = above;
    }
}

struct Level {
    name: Vec<u8>,
    /// Of the directory the name is in.
    inode: (u64, u64),
}

/// Unlinks everything in a directory up to the first directory in it, whose name is returned.
fn empty(directory: BorrowedFd<'_>, path: &RelPath) -> Result<Option<Vec<u8>>> {
    let mut space = Vec::with_capacity(32 * 1024);
    let mut names = RawDir::new(directory, space.spare_capacity_mut());
    while let Some(entry) = names.next() {
        let entry = entry.during("getdents64", path)?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." && !unlinked(directory, name, path)? {
            return Ok(Some(name.to_vec()));
        }
    }
    Ok(None)
}

/// Whether the name is gone; a directory is not.
fn unlinked(directory: BorrowedFd<'_>, name: &[u8], path: &RelPath) -> Result<bool> {
    match fs::unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::ISDIR) => Ok(false),
        Err(errno) => Err(Error::system("unlinkat", path, errno)),
    }
}

fn remove_empty(directory: BorrowedFd<'_>, name: &[u8], path: &RelPath) -> Result<()> {
    fs::unlinkat(directory, name, AtFlags::REMOVEDIR).during("unlinkat", path)
}

fn open(directory: BorrowedFd<'_>, name: &[u8], path: &RelPath) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat(directory, name, flags, Mode::empty()).during("openat", path)
}

fn inode(directory: BorrowedFd<'_>, path: &RelPath) -> Result<(u64, u64)> {
    let stat = fs::fstat(directory).during("fstat", path)?;
    Ok((stat.st_dev, stat.st_ino))
}
