//! Metadata of one entry, set by its open descriptor or by its name in an open directory. No link is followed.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::{self, AtFlags, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags};
use rustix::io::Errno;

use crate::entry::{Entry, Kind, Xattrs};
use crate::error::{Context, Error, Result, excerpt};
use crate::path::RelPath;
use crate::root::{c_string, stat_at, stat_bare};
use crate::xattrs::{is_holdable_attribute, is_host_attribute, read_xattrs};

/// User and group.
pub(super) type Owner = (u32, u32);

/// What an entry is to be in the end.
pub(super) struct Wanted<'a> {
    pub(super) kind: Kind,
    pub(super) owner: Owner,
    pub(super) mode: u32,
    pub(super) xattrs: &'a Xattrs,
    /// `None`: set later.
    pub(super) mtime_ns: Option<i64>,
}

/// What is known of an entry that was just made, with the permissions it is to have.
#[derive(Clone, Copy)]
pub(super) struct Fresh {
    /// Whose files this process makes.
    pub(super) by: Owner,
    /// It inherited no attributes.
    pub(super) bare: bool,
}

/// An entry: a name in an open directory, or (the name empty) an open descriptor itself.
pub(super) struct Place<'a> {
    fd: BorrowedFd<'a>,
    name: &'a [u8],
    path: &'a RelPath,
}

impl<'a> Place<'a> {
    pub(super) fn named(directory: BorrowedFd<'a>, name: &'a [u8], path: &'a RelPath) -> Self {
        Self {
            fd: directory,
            name,
            path,
        }
    }

    pub(super) fn open(fd: BorrowedFd<'a>, path: &'a RelPath) -> Self {
        Self {
            fd,
            name: b"",
            path,
        }
    }

    /// Gives an entry its metadata, in this order: owner (which clears set-user-ID and capabilities), mode, attributes,
    /// time. Returns its evidence after that.
    ///
    /// Of a fresh entry most is right as it is; the stat that is due anyway tells what is not: the umask took bits, or a
    /// directory with set-group-ID gave its group. Then everything is set.
    pub(super) fn dress(
        &self,
        wanted: &Wanted<'_>,
        fresh: Option<Fresh>,
        warnings: &mut Vec<String>,
    ) -> Result<Entry> {
        let Some(fresh) = fresh else {
            return self.dress_fully(wanted, warnings);
        };
        if !fresh.bare || !wanted.xattrs.is_empty() {
            return self.dress_fully(wanted, warnings);
        }
        if wanted.owner != fresh.by {
            self.own(wanted.owner)?;
        }
        if wanted.mode > 0o777 && wanted.kind != Kind::Symlink {
            self.set_mode(wanted.mode)?;
        }
        if let Some(mtime_ns) = wanted.mtime_ns {
            self.set_mtime(mtime_ns)?;
        }
        let entry = self.stat_bare()?;
        let mode = wanted.kind == Kind::Symlink || entry.mode == wanted.mode;
        if mode && (entry.uid, entry.gid) == wanted.owner {
            return Ok(entry);
        }
        self.dress_fully(wanted, warnings)
    }

    fn dress_fully(&self, wanted: &Wanted<'_>, warnings: &mut Vec<String>) -> Result<Entry> {
        self.own(wanted.owner)?;
        if wanted.kind != Kind::Symlink {
            self.set_mode(wanted.mode)?;
        }
        let xattrs = self.set_xattrs(wanted.kind, wanted.xattrs, warnings)?;
        if let Some(mtime_ns) = wanted.mtime_ns {
            self.set_mtime(mtime_ns)?;
        }
        Ok(Entry {
            xattrs,
            ..self.stat_bare()?
        })
    }

    pub(super) fn make_directory(&self) -> Result<()> {
        fs::mkdirat(self.fd, self.name, Mode::RWXU).during("mkdirat", self.path)
    }

    pub(super) fn own(&self, (uid, gid): Owner) -> Result<()> {
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        if self.name.is_empty() {
            return fs::fchown(self.fd, uid, gid).during("fchown", self.path);
        }
        fs::chownat(self.fd, self.name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
            .during("fchownat", self.path)
    }

    /// Must not be asked of a link: it has no mode, and fchmodat(2) follows.
    pub(super) fn set_mode(&self, mode: u32) -> Result<()> {
        let mode = Mode::from_raw_mode(mode);
        if self.name.is_empty() {
            return fs::fchmod(self.fd, mode).during("fchmod", self.path);
        }
        fs::chmodat(self.fd, self.name, mode, AtFlags::empty()).during("fchmodat", self.path)
    }

    pub(super) fn set_mtime(&self, mtime_ns: i64) -> Result<()> {
        let times = Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            last_modification: Timespec {
                tv_sec: mtime_ns.div_euclid(1_000_000_000),
                tv_nsec: mtime_ns.rem_euclid(1_000_000_000),
            },
        };
        if self.name.is_empty() {
            return fs::futimens(self.fd, &times).during("futimens", self.path);
        }
        fs::utimensat(self.fd, self.name, &times, AtFlags::SYMLINK_NOFOLLOW)
            .during("utimensat", self.path)
    }

    /// With link target and attributes.
    pub(super) fn stat(&self) -> Result<Entry> {
        let entry = stat_at(self.fd, self.name, self.path)?;
        entry.ok_or_else(|| Error::system("statx", self.path, Errno::NOENT))
    }

    /// Without link target and attributes.
    pub(super) fn stat_bare(&self) -> Result<Entry> {
        let entry = stat_bare(self.fd, self.name, self.path)?;
        entry.ok_or_else(|| Error::system("statx", self.path, Errno::NOENT))
    }

    /// Makes the attributes exactly `wanted`, but for those of the host. A new file may have inherited some: the access
    /// list of its directory. Returns what there is in the end, and tells what the file system cannot hold.
    pub(super) fn set_xattrs(
        &self,
        kind: Kind,
        wanted: &Xattrs,
        warnings: &mut Vec<String>,
    ) -> Result<Xattrs> {
        if wanted.is_empty() && self.is_bare() {
            return Ok(Xattrs::new());
        }
        let present = read_xattrs(self.fd, self.name, self.path)?;
        if present == *wanted {
            return Ok(present);
        }
        let surplus = |name: &[u8]| wanted.iter().all(|(known, _)| known != name);
        for (name, _) in present.iter().filter(|(name, _)| surplus(name)) {
            self.remove_xattr(name)?;
        }
        for (name, value) in wanted.iter().filter(|(name, _)| !is_host_attribute(name)) {
            match self.set_xattr(name, value) {
                Ok(()) => {}
                // xattr(7): user attributes are for files and directories only (EPERM elsewhere).
                Err(Errno::PERM)
                    if name.starts_with(b"user.")
                        && !matches!(kind, Kind::File | Kind::Directory) =>
                {
                    warnings.push(self.lost(name));
                }
                Err(Errno::NOTSUP) => warnings.push(self.lost(name)),
                Err(_) if !is_holdable_attribute(name, value) => warnings.push(self.lost(name)),
                Err(errno) => return Err(Error::system("lsetxattr", self.path, errno)),
            }
        }
        read_xattrs(self.fd, self.name, self.path)
    }

    /// Whether there is not one attribute, but for those of the host. One call.
    pub(super) fn is_bare(&self) -> bool {
        let mut names = [0; 256];
        let length = if self.name.is_empty() {
            fs::flistxattr(self.fd, &mut names)
        } else {
            fs::llistxattr(self.link(), &mut names)
        };
        match length {
            Ok(length) => names[..length]
                .split(|&byte| byte == 0)
                .all(|name| name.is_empty() || is_host_attribute(name)),
            // A file system without attributes passes none on. Any other failure is met again by whoever asks for them.
            Err(errno) => errno == Errno::NOTSUP,
        }
    }

    fn lost(&self, name: &[u8]) -> String {
        format!(
            "{}: the file system cannot hold the attribute {}",
            self.path.as_bytes().escape_ascii(),
            excerpt(name)
        )
    }

    fn set_xattr(&self, name: &[u8], value: &[u8]) -> rustix::io::Result<()> {
        if self.name.is_empty() {
            return fs::fsetxattr(self.fd, name, value, XattrFlags::empty());
        }
        fs::lsetxattr(self.link(), name, value, XattrFlags::empty())
    }

    fn remove_xattr(&self, name: &[u8]) -> Result<()> {
        let name = c_string(name)?;
        let removed = if self.name.is_empty() {
            fs::fremovexattr(self.fd, name.as_c_str())
        } else {
            fs::lremovexattr(self.link(), name.as_c_str())
        };
        removed.during("lremovexattr", self.path)
    }

    /// Reaches a name in an open directory by calls that take only paths.
    fn link(&self) -> Vec<u8> {
        let mut link = format!("/proc/self/fd/{}/", self.fd.as_raw_fd()).into_bytes();
        link.extend_from_slice(self.name);
        link
    }
}
