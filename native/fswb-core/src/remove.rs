//! Removing a directory and all below it, whatever an image has put there.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{self, AtFlags, FileType, IFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::ioctl;

use crate::descent::{Descent, lstat};
use crate::error::{Context, Error, Result};
use crate::path::RelPath;
use crate::root::{Root, c_string};

/// Removes the directory at a path of the host, and everything below it.
///
/// Goes by descriptors: any depth, any names, no link followed. Immutable and append-only flags are cleared, subvolumes of
/// btrfs made writable (any owner of one may make it read-only), and so are permissions that stand in the way. A mount point below is `EBUSY`: what is mounted there is not touched.
pub fn remove_tree(path: &[u8]) -> Result<()> {
    let name = c_string(path)?;
    let stat = fs::lstat(name.as_c_str()).during("lstat", path)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Err(Error::system("rmdir", path, Errno::NOTDIR));
    }
    let root = Root::open(path)?;
    let start = root.open_directory(&RelPath::ROOT)?;
    let mut descent = Descent::new(start, RelPath::ROOT);
    let mut left = vec![descent.names()?];
    while let Some(names) = left.last_mut() {
        if let Some(name) = names.pop() {
            if !remove_entry(&descent, &name)? {
                enter(&mut descent, &name)?;
                left.push(descent.names()?);
            }
            continue;
        }
        left.pop();
        if let Some(name) = descent.path().name().map(<[u8]>::to_vec) {
            descent.leave()?;
            if !remove_entry(&descent, &name)? {
                let path = descent.path().join(&name)?;
                return Err(Error::system("rmdir", path, Errno::NOTEMPTY));
            }
        }
    }
    match fs::rmdir(name.as_c_str()) {
        Err(Errno::PERM) => {
            clear_flags(root.fd());
            fs::rmdir(name.as_c_str()).during("rmdir", path)
        }
        result => result.during("rmdir", path),
    }
}

/// Removes one entry; `false` for a directory that is not empty.
fn remove_entry(descent: &Descent, name: &[u8]) -> Result<bool> {
    let directory = descent.fd();
    let path = descent.path().join(name)?;
    match try_remove(directory, name) {
        Err(Errno::PERM) => {
            clear_flags(directory);
            clear_flags_of(directory, name, &path)?;
        }
        // The first try within a read-only subvolume is in its root, where its flags are.
        Err(Errno::ROFS) => make_writable(directory),
        Err(Errno::ACCESS) => {
            fs::fchmod(directory, Mode::RWXU).during("fchmod", descent.path())?;
        }
        result => return result.during("unlinkat", path),
    }
    try_remove(directory, name).during("unlinkat", path)
}

fn try_remove(directory: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<bool> {
    match fs::unlinkat(directory, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => {}
        result => return result.map(|()| true),
    }
    match fs::unlinkat(directory, name, AtFlags::REMOVEDIR) {
        // rmdir(2): either of the two.
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        result => result.map(|()| true),
    }
}

fn enter(descent: &mut Descent, name: &[u8]) -> Result<()> {
    match descent.enter(name) {
        Err(Error::System {
            errno: libc::EACCES,
            ..
        }) => {
            let path = descent.path().join(name)?;
            // Not through a link: a directory that could not be removed bears this name.
            fs::chmodat(descent.fd(), name, Mode::RWXU, AtFlags::empty())
                .during("fchmodat", path)?;
            descent.enter(name)
        }
        result => result,
    }
}

fn clear_flags_of(directory: BorrowedFd<'_>, name: &[u8], path: &RelPath) -> Result<()> {
    let Some(stat) = lstat(directory, name, path)? else {
        return Ok(());
    };
    // Nothing else has flags, and opening a device can do anything.
    if !matches!(
        FileType::from_raw_mode(stat.st_mode),
        FileType::RegularFile | FileType::Directory
    ) {
        return Ok(());
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = fs::openat(directory, name, flags, Mode::empty()).during("openat", path)?;
    clear_flags(fd.as_fd());
    Ok(())
}

/// Best effort: the removal that is tried again after this reports what is still wrong.
fn clear_flags(fd: BorrowedFd<'_>) {
    if let Ok(flags) = fs::ioctl_getflags(fd) {
        let _ = fs::ioctl_setflags(fd, flags - (IFlags::IMMUTABLE | IFlags::APPEND));
    }
}

/// Best effort, as [`clear_flags`]: clears `BTRFS_SUBVOL_RDONLY` of the subvolume that `fd` is the root of.
fn make_writable(fd: BorrowedFd<'_>) {
    const SUBVOL_SETFLAGS: ioctl::Opcode = ioctl::opcode::write::<u64>(0x94, 26);
    // SAFETY: the call takes a pointer to 64 bits of flags, which it reads; 0 is no flag.
    let _ = unsafe { ioctl::ioctl(fd, ioctl::Setter::<SUBVOL_SETFLAGS, u64>::new(0)) };
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use super::*;

    fn remove(path: &Path) -> Result<()> {
        remove_tree(path.as_os_str().as_bytes())
    }

    #[test]
    fn a_tree_goes_and_what_its_links_lead_to_stays() {
        let directory = tempfile::tempdir().unwrap();
        let outside = directory.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("f"), "kept").unwrap();
        let tree = directory.path().join("tree");
        std::fs::create_dir_all(tree.join("a/b/c")).unwrap();
        std::fs::write(tree.join("a/f"), "").unwrap();
        symlink(&outside, tree.join("a/out")).unwrap();
        std::fs::set_permissions(tree.join("a/b"), PermissionsExt::from_mode(0o000)).unwrap();
        remove(&tree).unwrap();
        assert!(!tree.exists());
        assert_eq!(std::fs::read(outside.join("f")).unwrap(), b"kept");
    }

    #[test]
    fn only_a_directory_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("f");
        std::fs::write(&file, "").unwrap();
        symlink(directory.path(), directory.path().join("l")).unwrap();
        for name in ["f", "l"] {
            assert!(remove(&directory.path().join(name)).is_err());
        }
        assert!(file.exists());
        assert!(
            remove(&directory.path().join("absent"))
                .unwrap_err()
                .is_absent()
        );
    }

    #[test]
    fn three_thousand_levels_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let tree = directory.path().join("tree");
        std::fs::create_dir(&tree).unwrap();
        let root = Root::open(tree.as_os_str().as_bytes()).unwrap();
        let start = root.open_directory(&RelPath::ROOT).unwrap();
        let mut descent = Descent::new(start, RelPath::ROOT);
        for _ in 0..3000 {
            fs::mkdirat(descent.fd(), b"deep".as_slice(), Mode::RWXU).unwrap();
            descent.enter(b"deep").unwrap();
        }
        remove(&tree).unwrap();
        assert!(!tree.exists());
    }
}
