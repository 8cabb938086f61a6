//! Giving an entry its owner, mode, extended attributes and times, in the order that keeps them all.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::{self, AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use crate::entry::{Xattrs, nanoseconds};
use crate::error::{Context, Result};
use crate::path::RelPath;
use crate::root::c_string;

/// A time of modification. The time of access is left as it is: no image holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    mtime_ns: i64,
}

impl Times {
    pub(crate) fn new(mtime_ns: i64) -> Self {
        Self { mtime_ns }
    }

    pub(crate) fn of(fd: BorrowedFd<'_>, path: &RelPath) -> Result<Self> {
        let stat = fs::fstat(fd).during("fstat", path)?;
        let nanos = u32::try_from(stat.st_mtime_nsec).unwrap_or(0);
        Ok(Self::new(nanoseconds(stat.st_mtime, nanos)))
    }

    pub(crate) fn set(self, fd: BorrowedFd<'_>, path: &RelPath) -> Result<()> {
        fs::futimens(fd, &self.timestamps()).during("futimens", path)
    }

    fn set_at(self, directory: BorrowedFd<'_>, name: &[u8], path: &RelPath) -> Result<()> {
        fs::utimensat(
            directory,
            name,
            &self.timestamps(),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .during("utimensat", path)
    }

    fn timestamps(self) -> Timestamps {
        const SECOND: i64 = 1_000_000_000;
        Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: fs::UTIME_OMIT,
            },
            last_modification: Timespec {
                tv_sec: self.mtime_ns.div_euclid(SECOND),
                tv_nsec: self.mtime_ns.rem_euclid(SECOND) as _,
            },
        }
    }
}

/// What an entry gets.
#[derive(Debug)]
pub(crate) struct Metadata<'a> {
    pub(crate) owner: (u32, u32),
    /// `None` for a link, which has none.
    pub(crate) mode: Option<u32>,
    /// The mode was asked for, so no ACL of the source may change it again.
    pub(crate) mode_is_final: bool,
    pub(crate) xattrs: &'a Xattrs,
    pub(crate) times: Times,
}

impl Metadata<'_> {
    /// To an open file or directory. Returns the attributes its file system cannot hold.
    pub(crate) fn set(&self, fd: BorrowedFd<'_>, path: &RelPath) -> Result<Vec<Vec<u8>>> {
        let mode = self.mode.unwrap_or(0);
        // chown takes set-id bits and capabilities away: the mode and the attributes come after it.
        set_owner_and_mode(fd, self.owner, mode, path)?;
        let mut lost = Vec::new();
        for (name, value) in self.xattrs {
            let key = c_string(name)?;
            match fs::fsetxattr(fd, key.as_c_str(), value, XattrFlags::empty()) {
                Err(Errno::NOTSUP) => lost.push(name.clone()),
                result => result.during("fsetxattr", path)?,
            }
        }
        if self.mode_is_final && !self.xattrs.is_empty() {
            fs::fchmod(fd, Mode::from_raw_mode(mode)).during("fchmod", path)?;
        }
        self.times.set(fd, path)?;
        Ok(lost)
    }

    /// To an entry that is never opened: a link, a FIFO, a device, made a moment ago.
    pub(crate) fn set_at(
        &self,
        directory: BorrowedFd<'_>,
        name: &[u8],
        path: &RelPath,
    ) -> Result<Vec<Vec<u8>>> {
        let (uid, gid) = ids(self.owner);
        fs::chownat(directory, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
            .during("fchownat", path)?;
        let chmod = |mode| {
            fs::chmodat(directory, name, Mode::from_raw_mode(mode), AtFlags::empty())
                .during("fchmodat", path)
        };
        if let Some(mode) = self.mode {
            chmod(mode)?;
        }
        let mut lost = Vec::new();
        for (attribute, value) in self.xattrs {
            let mut link = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
            link.extend_from_slice(name);
            let (link, key) = (c_string(&link)?, c_string(attribute)?);
            match fs::lsetxattr(link.as_c_str(), key.as_c_str(), value, XattrFlags::empty()) {
                Err(Errno::NOTSUP) => lost.push(attribute.clone()),
                result => result.during("lsetxattr", path)?,
            }
        }
        if let (Some(mode), true) = (self.mode, self.mode_is_final && !self.xattrs.is_empty()) {
            chmod(mode)?;
        }
        self.times.set_at(directory, name, path)?;
        Ok(lost)
    }
}

fn ids((uid, gid): (u32, u32)) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
}

/// chown, then chmod, whatever the umask was.
pub(crate) fn set_owner_and_mode(
    fd: BorrowedFd<'_>,
    owner: (u32, u32),
    mode: u32,
    path: &RelPath,
) -> Result<()> {
    let (uid, gid) = ids(owner);
    fs::fchown(fd, uid, gid).during("fchown", path)?;
    fs::fchmod(fd, Mode::from_raw_mode(mode)).during("fchmod", path)
}
