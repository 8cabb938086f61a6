//! One member of an archive becomes one entry of the root file system.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256 as Hasher};

use crate::archive::{Member, Reader};
use crate::entry::{Entry, Kind, Sha256};
use crate::error::{Context, Error, Result};
use crate::extract::metadata::{Owner, Place};
use crate::extract::tree::{Directory, Tree};
use crate::path::RelPath;
use crate::root::{stat_at, stat_bare};

// Linux itself takes no path above 4 KiB, and what programs nest by going down step by step stays far below this. The limit
// of levels bounds the memory: every level of a path is recorded with its whole path.
const MAX_NAME: usize = 16 * 1024;
const MAX_LEVELS: usize = 1024;

/// A clean relative path from a name in an archive.
///
/// # Errors
///
/// `Archive` if a part of it is `..`: it is refused rather than cleaned, since no honest writer leaves one.
pub(crate) fn clean_name(member: &Member, name: &[u8]) -> Result<RelPath> {
    if name.len() > MAX_NAME {
        return Err(member.error(format!("a name of {} bytes", name.len())));
    }
    if name.split(|&byte| byte == b'/').count() > MAX_LEVELS {
        return Err(member.error(format!("a name of more than {MAX_LEVELS} levels")));
    }
    if name.split(|&byte| byte == b'/').any(|part| part == b"..") {
        return Err(member.error("a name with .. in it would lead out of the directory"));
    }
    RelPath::clean(name).map_err(|_| member.error("a name with a NUL byte in it"))
}

impl Tree<'_> {
    /// Makes a new entry, in place of whatever has the name: only a directory is merged with a directory.
    pub(super) fn place(
        &mut self,
        directory: &Directory,
        path: &RelPath,
        kind: Kind,
        member: &Member,
        owner: Owner,
        content: &mut Reader<impl Read>,
    ) -> Result<Entry> {
        let name = path.name().unwrap_or(b".");
        let mut sha256 = None;
        let file;
        let place = if kind == Kind::File {
            file = self.make(
                directory,
                path,
                || {
                    let flags = OFlags::WRONLY
                        | OFlags::CREATE
                        | OFlags::EXCL
                        | OFlags::NOFOLLOW
                        | OFlags::CLOEXEC;
                    fs::openat(&directory.fd, name, flags, Mode::RUSR | Mode::WUSR)
                },
                "openat",
            )?;
            sha256 = Some(write_content(&file, path, content)?);
            Place::open(file.as_fd(), path)
        } else {
            self.make_other(directory, path, kind, member)?;
            Place::named(directory.fd.as_fd(), name, path)
        };
        place.own(owner)?;
        if kind != Kind::Symlink {
            place.set_mode(member.mode)?;
        }
        let xattrs = place.set_xattrs(kind, &member.xattrs, &mut self.warnings)?;
        if kind == Kind::Directory {
            self.set_time_at_end(path, member.mtime_ns);
        } else {
            place.set_mtime(member.mtime_ns)?;
        }
        Ok(Entry {
            xattrs,
            sha256,
            target: member.link.clone(),
            ..place.stat_bare()?
        })
    }

    fn make_other(
        &mut self,
        directory: &Directory,
        path: &RelPath,
        kind: Kind,
        member: &Member,
    ) -> Result<()> {
        let name = path.name().unwrap_or(b".");
        let at = directory.fd.as_fd();
        let node = |file_type| fs::mknodat(at, name, file_type, Mode::RUSR, member.rdev);
        match kind {
            Kind::Directory => {
                let found = stat_bare(at, name, path)?;
                if found.is_some_and(|found| found.kind == Kind::Directory) {
                    return Ok(());
                }
                self.make(
                    directory,
                    path,
                    || fs::mkdirat(at, name, Mode::RWXU),
                    "mkdirat",
                )
            }
            Kind::Symlink if member.link.is_empty() => {
                Err(member.error("a symbolic link without a target"))
            }
            Kind::Symlink => self.make(
                directory,
                path,
                || fs::symlinkat(member.link.as_slice(), at, name),
                "symlinkat",
            ),
            Kind::Fifo => self.make(directory, path, || node(FileType::Fifo), "mknodat"),
            Kind::CharDevice => self.make(
                directory,
                path,
                || node(FileType::CharacterDevice),
                "mknodat",
            ),
            Kind::BlockDevice => {
                self.make(directory, path, || node(FileType::BlockDevice), "mknodat")
            }
            Kind::File => Ok(()),
        }
    }

    /// Gives an entry of the archive one more name. `target` is where the archive says it is, cleaned.
    pub(super) fn link(
        &mut self,
        directory: &Directory,
        path: &RelPath,
        member: &Member,
        target: &RelPath,
    ) -> Result<Linked> {
        let missing = || member.error(format!("a hard link to {target:?}, which does not exist"));
        let (Some(parent), Some(target_name)) = (target.parent(), target.name()) else {
            return Err(member.error("a hard link to a directory"));
        };
        let from = self.directory(&parent)?.ok_or_else(missing)?;
        let first = from.path.join(target_name)?;
        if first == *path {
            return Err(member.error("a hard link to itself"));
        }
        let found = stat_bare(from.fd.as_fd(), target_name, &first)?.ok_or_else(missing)?;
        if found.kind == Kind::Directory {
            return Err(member.error("a hard link to a directory"));
        }
        let name = path.name().unwrap_or(b".");
        let linked = self.make(
            directory,
            path,
            || fs::linkat(&from.fd, target_name, &directory.fd, name, AtFlags::empty()),
            "linkat",
        );
        match linked {
            // The target was below what had the name.
            Err(error) if error.is_absent() => return Err(missing()),
            result => result?,
        }
        let entry = stat_at(directory.fd.as_fd(), name, path)?.ok_or_else(missing)?;
        Ok(Linked { first, entry })
    }

    /// Makes what must not exist yet; what does exist is removed first.
    fn make<T>(
        &mut self,
        directory: &Directory,
        path: &RelPath,
        make: impl Fn() -> rustix::io::Result<T>,
        operation: &'static str,
    ) -> Result<T> {
        self.touch(directory)?;
        match make() {
            Err(Errno::EXIST) => {
                self.clear(directory, path.name().unwrap_or(b"."), path)?;
                make().during(operation, path)
            }
            result => result.during(operation, path),
        }
    }
}

/// A hard link that was made.
pub(super) struct Linked {
    /// The exact path of the name before.
    pub(super) first: RelPath,
    /// The inode as it is now.
    pub(super) entry: Entry,
}

fn write_content(
    file: &OwnedFd,
    path: &RelPath,
    content: &mut Reader<impl Read>,
) -> Result<Sha256> {
    let mut hasher = Hasher::new();
    loop {
        let piece = content.chunk()?;
        if piece.is_empty() {
            return Ok(hasher.finalize().into());
        }
        hasher.update(piece);
        write_all(file, path, piece)?;
    }
}

fn write_all(file: &OwnedFd, path: &RelPath, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(file, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::system("write", path, errno)),
        }
    }
    Ok(())
}
