//! A way down a tree by open directories: of any depth, through names of any length, never through a link.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RawDir};

use crate::error::{Context, Error, Result};
use crate::path::RelPath;

/// Directories kept open at a time. One further up is closed, and reopened on the way back.
const OPEN_LEVELS: usize = 64;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

/// Open directories, each inside the one before. Never empty.
#[derive(Debug)]
pub struct Descent {
    above: Vec<Level>,
    current: Arc<OwnedFd>,
    path: RelPath,
}

#[derive(Debug)]
struct Level {
    /// `None` once it is too far up to be kept open.
    fd: Option<Arc<OwnedFd>>,
    device: u64,
    inode: u64,
}

impl Descent {
    /// Starts in an open directory. `path` is what it is called in messages.
    pub fn new(directory: OwnedFd, path: RelPath) -> Self {
        Self {
            above: Vec::new(),
            current: Arc::new(directory),
            path,
        }
    }

    /// The directory it is in.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.current.as_fd()
    }

    /// The same, for somebody who needs it longer than the descent stays in it.
    pub(crate) fn shared(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.current)
    }

    /// Its path.
    pub fn path(&self) -> &RelPath {
        &self.path
    }

    /// How many levels below the start it is.
    pub fn depth(&self) -> usize {
        self.above.len()
    }

    /// Goes into a directory of the current one. A link in its place is an error (`ELOOP` or `ENOTDIR`).
    pub fn enter(&mut self, name: &[u8]) -> Result<()> {
        let path = self.path.join(name)?;
        let child =
            fs::openat(self.fd(), name, DIRECTORY, Mode::empty()).during("openat", &path)?;
        let stat = fs::fstat(self.fd()).during("fstat", &self.path)?;
        if let Some(far) = self.above.len().checked_sub(OPEN_LEVELS) {
            self.above[far].fd = None;
        }
        self.above.push(Level {
            fd: Some(std::mem::replace(&mut self.current, Arc::new(child))),
            device: stat.st_dev,
            inode: stat.st_ino,
        });
        self.path = path;
        Ok(())
    }

    /// Goes back up. Does nothing at the start.
    pub fn leave(&mut self) -> Result<()> {
        let Some(level) = self.above.pop() else {
            return Ok(());
        };
        let path = self.path.parent().unwrap_or_default();
        let parent = match level.fd {
            Some(fd) => fd,
            None => {
                let fd = fs::openat(self.fd(), b"..".as_slice(), DIRECTORY, Mode::empty())
                    .during("openat", &path)?;
                let stat = fs::fstat(&fd).during("fstat", &path)?;
                // `..` leads elsewhere once a directory was moved: then this way is no longer below its start.
                if (stat.st_dev, stat.st_ino) != (level.device, level.inode) {
                    return Err(Error::refused(&path, "moved while it was being read"));
                }
                Arc::new(fd)
            }
        };
        self.current = parent;
        self.path = path;
        Ok(())
    }

    /// Sorted names in the current directory.
    pub fn names(&self) -> Result<Vec<Vec<u8>>> {
        names(self.fd(), &self.path)
    }
}

/// Sorted names in an open directory, which is read from where its offset is. `path` is for messages.
pub fn names(directory: BorrowedFd<'_>, path: &RelPath) -> Result<Vec<Vec<u8>>> {
    let found = typed_names(directory, path)?;
    Ok(found.into_iter().map(|(name, _)| name).collect())
}

/// As [`names`], with what the directory says each is (`Unknown` where its file system does not tell).
pub fn typed_names(directory: BorrowedFd<'_>, path: &RelPath) -> Result<Vec<(Vec<u8>, FileType)>> {
    let mut buffer = vec![MaybeUninit::<u8>::uninit(); 32 << 10];
    let mut entries = RawDir::new(directory, &mut buffer);
    let mut found = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry.during("getdents64", path)?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            found.push((name.to_vec(), entry.file_type()));
        }
    }
    found.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    Ok(found)
}

/// Stats `name` in an open directory, no link followed; `None` where there is none.
pub fn lstat(directory: BorrowedFd<'_>, name: &[u8], path: &RelPath) -> Result<Option<fs::Stat>> {
    crate::error::present(
        fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).during("fstatat", path),
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;
    use crate::root::Root;

    #[test]
    fn a_thousand_levels_take_few_descriptors() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::open(directory.path().as_os_str().as_bytes()).unwrap();
        let start = root.open_directory(&RelPath::ROOT).unwrap();
        let mut descent = Descent::new(start, RelPath::ROOT);
        let name = [b'n'; 20];
        for _ in 0..1000 {
            fs::mkdirat(descent.fd(), name.as_slice(), Mode::RWXU).unwrap();
            descent.enter(&name).unwrap();
        }
        assert_eq!(descent.depth(), 1000);
        assert!(
            descent
                .above
                .iter()
                .filter(|level| level.fd.is_some())
                .count()
                <= OPEN_LEVELS
        );
        for _ in 0..1000 {
            descent.leave().unwrap();
            assert_eq!(descent.names().unwrap().len(), 1);
        }
        assert!(descent.path().is_root());
    }

    #[test]
    fn a_link_is_not_entered() {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/", directory.path().join("out")).unwrap();
        let root = Root::open(directory.path().as_os_str().as_bytes()).unwrap();
        let start = root.open_directory(&RelPath::ROOT).unwrap();
        assert!(Descent::new(start, RelPath::ROOT).enter(b"out").is_err());
    }
}
