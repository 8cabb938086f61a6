//! One member of an archive becomes one entry of the root file system.

use std::io::Read;
use std::os::fd::AsFd;

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::archive::{Member, Reader};
use crate::entry::{Entry, Kind};
use crate::error::{Context, Error, Result, excerpt};
use crate::extract::file::{Content, Draft};
use crate::extract::metadata::{Fresh, Owner, Place, Wanted};
use crate::extract::tree::{Directory, Tree};
use crate::path::RelPath;
use crate::root::{stat_at, stat_bare};

// Linux itself takes no path above 4 KiB, and what programs nest by going down step by step stays far below this. The limit
// of levels bounds the memory: every level of a path is recorded with its whole path.
const MAX_NAME: usize = 16 * 1024;
const MAX_LEVELS: usize = 1024;
// limits.h: NAME_MAX, and PATH_MAX without the NUL at its end. Asked for here, an archive means the same wherever it is read.
const MAX_PART: usize = 255;
const MAX_TARGET: usize = 4095;

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
    // Most names are clean but for a `./` in front or a slash behind.
    let plain = name.strip_prefix(b"./").unwrap_or(name);
    let plain = plain.strip_suffix(b"/").unwrap_or(plain);
    if let Ok(path) = RelPath::new(plain) {
        return Ok(path);
    }
    RelPath::clean(name).map_err(|_| member.error("a name with a NUL byte in it"))
}

/// The same path, if a file system can hold each part of it.
pub(crate) fn holdable(member: &Member, path: RelPath) -> Result<RelPath> {
    let longest = path.parts().map(<[u8]>::len).max().unwrap_or(0);
    if longest > MAX_PART {
        return Err(member.error(format!(
            "a name of {longest} bytes, where no file system has more than {MAX_PART}"
        )));
    }
    Ok(path)
}

/// Where the archive says that a hard link's other name is.
pub(crate) fn linked_path(member: &Member) -> Result<RelPath> {
    holdable(member, clean_name(member, &member.link)?)
}

/// The error of a hard link whose other name, cleaned, is not there.
pub(crate) fn links_to_nothing(member: &Member, target: &RelPath) -> Error {
    let target = excerpt(target.as_bytes());
    member.error(format!("a hard link to /{target}, which does not exist"))
}

/// Refuses a symbolic link that nobody can make.
pub(crate) fn check_target(member: &Member) -> Result<()> {
    match member.link.len() {
        0 => Err(member.error("a symbolic link without a target")),
        length if length > MAX_TARGET => Err(member.error(format!(
            "a symbolic link to {length} bytes, where no path has more than {MAX_TARGET}"
        ))),
        _ if member.link.contains(&0) => {
            Err(member.error("a symbolic link with a NUL byte in its target"))
        }
        _ => Ok(()),
    }
}

/// An error on the way to a directory that a member speaks of, told as the member's where the archive is to blame.
pub(crate) fn on_the_way(member: &Member, error: Error) -> Error {
    match error {
        Error::System {
            errno: libc::ENOENT | libc::ENOTDIR,
            ..
        } => member.error("what should be a directory above it is none"),
        Error::System {
            errno: libc::ELOOP, ..
        } => member.error("links above it that lead in a circle, or through too many others"),
        other => other,
    }
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
    ) -> Result<Made> {
        if kind == Kind::File {
            let file = self.make_file(directory, path, member, owner, content)?;
            return Ok(Made::File(file));
        }
        let name = path.name().unwrap_or(b".");
        let merged = self.make_other(directory, path, kind, member)?;
        let place = Place::named(directory.fd.as_fd(), name, path);
        let wanted = Wanted {
            kind,
            owner,
            mode: member.mode,
            xattrs: &member.xattrs,
            mtime_ns: (kind != Kind::Directory).then_some(member.mtime_ns),
        };
        if kind == Kind::Directory {
            self.set_time_at_end(path, member.mtime_ns);
            if merged || !member.xattrs.is_empty() {
                self.forget_directory(path);
            }
        }
        let fresh = (!merged).then(|| Fresh {
            by: self.maker,
            bare: Self::is_bare(directory, kind, &place),
        });
        let entry = place.dress(&wanted, fresh, &mut self.warnings)?;
        Ok(Made::Whole(Entry {
            target: member.link.clone(),
            ..entry
        }))
    }

    fn make_file(
        &mut self,
        directory: &Directory,
        path: &RelPath,
        member: &Member,
        owner: Owner,
        content: &mut Reader<impl Read>,
    ) -> Result<Draft> {
        let name = path.name().unwrap_or(b".");
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = permissions(member);
        let open = || fs::openat(&directory.fd, name, flags, mode);
        let file = self.make(directory, path, open, "openat")?;
        let bare = Self::is_bare(directory, Kind::File, &Place::open(file.as_fd(), path));
        Ok(Draft {
            content: Content::take(&file, path, member.size, content)?,
            file,
            path: path.clone(),
            owner,
            mode: member.mode,
            xattrs: member.xattrs.clone(),
            mtime_ns: member.mtime_ns,
            fresh: Fresh {
                by: self.maker,
                bare,
            },
        })
    }

    /// Makes anything but a file; whether there was a directory already, where one is wanted.
    fn make_other(
        &mut self,
        directory: &Directory,
        path: &RelPath,
        kind: Kind,
        member: &Member,
    ) -> Result<bool> {
        let name = path.name().unwrap_or(b".");
        let at = directory.fd.as_fd();
        let node = |file_type| fs::mknodat(at, name, file_type, permissions(member), member.rdev);
        match kind {
            Kind::Directory => return self.make_directory(directory, path, permissions(member)),
            Kind::Symlink => {
                check_target(member)?;
                let make = || fs::symlinkat(member.link.as_slice(), at, name);
                self.make(directory, path, make, "symlinkat")?;
            }
            Kind::Fifo => self.make(directory, path, || node(FileType::Fifo), "mknodat")?,
            Kind::CharDevice | Kind::BlockDevice => {
                let file_type = if kind == Kind::CharDevice {
                    FileType::CharacterDevice
                } else {
                    FileType::BlockDevice
                };
                let made = self.make(directory, path, || node(file_type), "mknodat");
                made.map_err(|error| not_permitted(member, error))?;
            }
            Kind::File => {}
        }
        Ok(false)
    }

    fn make_directory(
        &mut self,
        directory: &Directory,
        path: &RelPath,
        mode: Mode,
    ) -> Result<bool> {
        let name = path.name().unwrap_or(b".");
        let at = directory.fd.as_fd();
        self.touch(directory)?;
        match fs::mkdirat(at, name, mode) {
            Err(Errno::EXIST) => {}
            made => return made.during("mkdirat", path).map(|()| false),
        }
        let found = stat_bare(at, name, path)?;
        if found.is_some_and(|found| found.kind == Kind::Directory) {
            return Ok(true);
        }
        self.make(directory, path, || fs::mkdirat(at, name, mode), "mkdirat")?;
        Ok(false)
    }

    /// Whether an entry just made has no attributes. A directory with an access list to pass on gives it to every entry
    /// alike, so the first file tells for all; but a directory may get one where files get none, and a link gets none at all
    /// (acl(5), "Object creation and default ACLs").
    fn is_bare(directory: &Directory, kind: Kind, made: &Place<'_>) -> bool {
        match (kind, directory.makes_bare.get()) {
            (Kind::Symlink, Some(true)) => true,
            (Kind::Symlink | Kind::Directory, _) => made.is_bare(),
            (_, Some(known)) => known,
            (_, None) => {
                let bare = made.is_bare();
                directory.makes_bare.set(Some(bare));
                bare
            }
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
        let missing = || links_to_nothing(member, target);
        let (Some(parent), Some(target_name)) = (target.parent(), target.name()) else {
            return Err(member.error("a hard link to a directory"));
        };
        let from = self.directory(&parent);
        let from = from.map_err(|error| on_the_way(member, error))?;
        let from = from.ok_or_else(missing)?;
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

/// What became of a member.
pub(super) enum Made {
    /// An entry, in its last state.
    Whole(Entry),
    /// A file that lacks its metadata.
    File(Draft),
}

/// A hard link that was made.
pub(super) struct Linked {
    /// The exact path of the name before.
    pub(super) first: RelPath,
    /// The inode as it is now.
    pub(super) entry: Entry,
}

/// What an entry may have before its owner is right: set-user-ID and the like come after that.
fn permissions(member: &Member) -> Mode {
    Mode::from_raw_mode(member.mode & 0o777)
}

/// In a user namespace, or without CAP_MKNOD, nobody makes devices (mknod(2)).
fn not_permitted(member: &Member, error: Error) -> Error {
    match error {
        Error::System {
            errno: libc::EPERM, ..
        } => member.error("a device, which may not be made here: that needs CAP_MKNOD on the host"),
        other => other,
    }
}
