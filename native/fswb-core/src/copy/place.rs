//! Putting what was found in the source into the destination.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{self, AtFlags, FileType, Mode as Permissions, OFlags};
use rustix::io::Errno;

use crate::copy::data::copy_data;
use crate::copy::metadata::{Metadata, Times};
use crate::copy::mode::Mode;
use crate::copy::walk::{Found, Step, Walk, look, open_file};
use crate::copy::{Copied, Source};
use crate::descent::{Descent, lstat};
use crate::entry::{Entry, Kind, Xattrs};
use crate::error::{Context, Error, Result};
use crate::path::RelPath;
use crate::root::{Root, complete};

/// One COPY.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// From where.
    pub source: Source<'a>,
    /// The destination's root file system.
    pub rootfs: &'a Root,
    /// The destination as spelled, WORKDIR joined; a `/` at the end says that it is a directory.
    pub dest: &'a [u8],
    /// `--chown`; `None` keeps the ids of the source.
    pub owner: Option<(u32, u32)>,
    /// `--chmod`.
    pub mode: Option<&'a Mode>,
}

/// Copies `paths`, as [`crate::copy::expand`] gives them, in their order: a later one wins.
///
/// What is in the way is removed, never written through; existing directories that the list does not hold get their
/// time of modification back. After an error the destination is undefined.
pub fn copy(request: &Request<'_>, paths: &[RelPath]) -> Result<Copied> {
    let mut copier = Copier {
        request: *request,
        copied: Copied::default(),
        listed: HashSet::new(),
        led_through: HashSet::new(),
        kept: BTreeMap::new(),
        links: HashMap::new(),
    };
    for path in paths {
        copier.copy(path)?;
    }
    copier.finish()
}

struct Copier<'a> {
    request: Request<'a>,
    copied: Copied,
    listed: HashSet<RelPath>,
    /// Directories made above what is copied.
    led_through: HashSet<RelPath>,
    /// Existing directories that something was put into, and the time they had before.
    kept: BTreeMap<RelPath, Times>,
    /// Where a file of the source that has more names is now.
    links: HashMap<(u64, u64), RelPath>,
}

impl Copier<'_> {
    fn copy(&mut self, given: &RelPath) -> Result<()> {
        let (path, found) = self.request.source.find(given)?;
        let dest = self.request.dest;
        // Cleaned before links are followed, as Dockerfiles mean it: `link/../f` is beside the link.
        let target = RelPath::clean(dest)?;
        let target = self.request.rootfs.resolve(target.as_bytes())?;
        let existing = self.kind_at(&target)?;
        if found.entry.kind == Kind::Directory {
            if existing.is_some_and(|kind| kind != FileType::Directory) {
                return Err(Error::refused(&target, "cannot copy to non-directory"));
            }
            self.open_up(&target)?;
            self.led_through.remove(&target);
            return self.tree(&path, &target);
        }
        let inside = dest.is_empty()
            || dest.ends_with(b"/")
            || dest.ends_with(b"/.")
            || existing == Some(FileType::Directory);
        let target = match given.name() {
            Some(name) if inside => target.join(name)?,
            _ => target,
        };
        let (Some(parent), Some(name)) = (target.parent(), target.name()) else {
            return Err(Error::refused(
                dest,
                "cannot overwrite directory with a file",
            ));
        };
        self.open_up(&parent)?;
        let Some(Some((from, source_name))) = self.request.source.root.directory_of(&path)? else {
            return Err(Error::system("openat", given, Errno::NOENT));
        };
        let directory = self.request.rootfs.open_directory(&parent)?;
        let item = Item {
            from: from.as_fd(),
            source_name: &source_name,
            source_path: &path,
            to: directory.as_fd(),
            name,
            path: &target,
        };
        self.item(&item, found)
    }

    fn kind_at(&self, path: &RelPath) -> Result<Option<FileType>> {
        let stat = match self.request.rootfs.directory_of(path)? {
            None => return Ok(None),
            Some(None) => return Ok(Some(FileType::Directory)),
            Some(Some((directory, name))) => lstat(directory.as_fd(), &name, path)?,
        };
        Ok(stat.map(|stat| FileType::from_raw_mode(stat.st_mode)))
    }

    /// Makes a directory to copy into where it is missing, and remembers the time of one that exists.
    fn open_up(&mut self, directory: &RelPath) -> Result<()> {
        let mode = self.request.mode.map_or(0o755, Mode::of_parent);
        let owner = self.request.owner.unwrap_or((0, 0));
        let made = self
            .request
            .rootfs
            .make_directories(directory, mode, owner)?;
        self.listed.extend(made.iter().cloned());
        self.led_through.extend(made);
        if !self.listed.contains(directory) && !self.kept.contains_key(directory) {
            let fd = self.request.rootfs.open_directory(directory)?;
            let times = Times::of(fd.as_fd(), directory)?;
            self.kept.insert(directory.clone(), times);
        }
        Ok(())
    }

    fn tree(&mut self, from: &RelPath, to: &RelPath) -> Result<()> {
        let mut walk = Walk::new(self.request.source, from)?;
        let fd = self.request.rootfs.open_directory(to)?;
        let mut descent = Descent::new(fd, to.clone());
        let mut entered: Vec<Entry> = Vec::new();
        let mut source_path = from.clone();
        while let Some(step) = walk.next()? {
            match step {
                Step::Enter { name, entry } => {
                    source_path = source_path.join(&name)?;
                    enter(&mut descent, &name)?;
                    self.listed.insert(descent.path().clone());
                    entered.push(entry);
                }
                Step::Item { name, found } => {
                    let (path, source) = (descent.path().join(&name)?, source_path.join(&name)?);
                    let item = Item {
                        from: walk.fd(),
                        source_name: &name,
                        source_path: &source,
                        to: descent.fd(),
                        name: &name,
                        path: &path,
                    };
                    self.item(&item, found)?;
                }
                Step::Leave => {
                    if let Some(entry) = entered.pop() {
                        let metadata = self.metadata(&entry, &entry.xattrs);
                        let lost = metadata.set(descent.fd(), descent.path())?;
                        self.warn_of(&lost, descent.path());
                    }
                    source_path = source_path.parent().unwrap_or_default();
                    descent.leave()?;
                }
            }
        }
        Ok(())
    }

    fn metadata<'x>(&self, entry: &Entry, xattrs: &'x Xattrs) -> Metadata<'x> {
        let is_directory = entry.kind == Kind::Directory;
        let mode = match self.request.mode {
            Some(mode) => mode.apply(entry.mode, is_directory),
            None => entry.mode,
        };
        Metadata {
            owner: self.request.owner.unwrap_or((entry.uid, entry.gid)),
            mode: (entry.kind != Kind::Symlink).then_some(mode),
            mode_is_final: self.request.mode.is_some(),
            xattrs,
            times: Times::new(entry.mtime_ns),
        }
    }

    fn item(&mut self, item: &Item<'_>, found: Found) -> Result<()> {
        if !self.is_taken(item, &found) {
            return Ok(());
        }
        if self.link(item, &found.entry)? {
            self.copied.files += 1;
        } else {
            self.make_room(item)?;
            if found.entry.kind == Kind::File {
                self.file(item, &found)?;
            } else {
                self.special(item, found.entry)?;
            }
        }
        self.listed.insert(item.path.clone());
        Ok(())
    }

    /// Whether an entry can be copied at all, warning of what is not, or not as it is.
    fn is_taken(&mut self, item: &Item<'_>, found: &Found) -> bool {
        let is_context = self.request.source.is_context;
        let is_device = matches!(found.entry.kind, Kind::CharDevice | Kind::BlockDevice);
        let what = match (found.is_socket, is_device) {
            (true, _) if is_context => "a socket, copied as an empty file",
            (true, _) => "a socket, skipped",
            (_, true) if is_context => "a device, skipped",
            _ => return true,
        };
        let path = item.source_path.as_bytes().escape_ascii();
        self.copied.warnings.push(format!("{path}: {what}"));
        found.is_socket && is_context
    }

    /// Makes a further name of a file that this COPY wrote before; `false` if it did not.
    fn link(&mut self, item: &Item<'_>, entry: &Entry) -> Result<bool> {
        if entry.kind != Kind::File || entry.nlink < 2 {
            return Ok(false);
        }
        let Some(first) = self.links.get(&(entry.dev, entry.ino)).cloned() else {
            return Ok(false);
        };
        if first == *item.path {
            return Ok(true);
        }
        let Some(Some((directory, name))) = self.request.rootfs.directory_of(&first)? else {
            return Ok(false);
        };
        self.make_room(item)?;
        fs::linkat(
            &directory,
            name.as_slice(),
            item.to,
            item.name,
            AtFlags::empty(),
        )
        .during("linkat", item.path)?;
        Ok(true)
    }

    /// Removes what bears the name. A directory stays in the way.
    fn make_room(&mut self, item: &Item<'_>) -> Result<()> {
        // A later source replaces what an earlier one put here. (Its inode number tells nothing: ext4 uses it again.)
        if self.listed.contains(item.path) {
            self.links.retain(|_, first| first != item.path);
        }
        match fs::unlinkat(item.to, item.name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::ISDIR) => Err(Error::refused(
                item.path,
                "cannot overwrite directory with a file",
            )),
            Err(errno) => Err(errno).during("unlinkat", item.path),
        }
    }

    fn file(&mut self, item: &Item<'_>, found: &Found) -> Result<()> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let to = fs::openat(
            item.to,
            item.name,
            flags,
            Permissions::RUSR | Permissions::WUSR,
        )
        .during("openat", item.path)?;
        let mut entry = found.entry.clone();
        if !found.is_socket {
            let from = open_file(item.from, item.source_name, item.source_path)?;
            // Of the open file: the name may have changed hands since it was looked at.
            if let Some(opened) = look(from.as_fd(), b"", item.source_path)? {
                entry = opened.entry;
            }
            complete(from.as_fd(), b"", item.source_path, &mut entry)?;
            self.copied.size += copy_data(from.as_fd(), to.as_fd(), item.path)?;
        }
        let lost = self
            .metadata(&entry, &entry.xattrs)
            .set(to.as_fd(), item.path)?;
        self.warn_of(&lost, item.path);
        self.copied.files += 1;
        if entry.nlink > 1 {
            self.links.insert((entry.dev, entry.ino), item.path.clone());
        }
        Ok(())
    }

    /// A link, a FIFO or a device.
    fn special(&mut self, item: &Item<'_>, mut entry: Entry) -> Result<()> {
        complete(item.from, item.source_name, item.source_path, &mut entry)?;
        let kind = match entry.kind {
            Kind::Symlink => None,
            Kind::CharDevice => Some(FileType::CharacterDevice),
            Kind::BlockDevice => Some(FileType::BlockDevice),
            _ => Some(FileType::Fifo),
        };
        match kind {
            None => fs::symlinkat(entry.target.as_slice(), item.to, item.name)
                .during("symlinkat", item.path)?,
            Some(kind) => fs::mknodat(item.to, item.name, kind, Permissions::RUSR, entry.rdev)
                .during("mknodat", item.path)?,
        }
        let metadata = self.metadata(&entry, &entry.xattrs);
        let lost = metadata.set_at(item.to, item.name, item.path)?;
        self.warn_of(&lost, item.path);
        Ok(())
    }

    fn warn_of(&mut self, lost: &[Vec<u8>], path: &RelPath) {
        for name in lost {
            self.copied.warnings.push(format!(
                "{}: the file system here cannot hold the extended attribute {}",
                path.as_bytes().escape_ascii(),
                name.escape_ascii()
            ));
        }
    }

    fn finish(mut self) -> Result<Copied> {
        for (path, times) in &self.kept {
            let fd = self.request.rootfs.open_directory(path)?;
            times.set(fd.as_fd(), path)?;
        }
        self.copied.paths = self.listed.into_iter().collect();
        self.copied.paths.sort_unstable();
        self.copied.led_through = self.led_through.into_iter().collect();
        self.copied.led_through.sort_unstable();
        Ok(self.copied)
    }
}

fn enter(descent: &mut Descent, name: &[u8]) -> Result<()> {
    let path = descent.path().join(name)?;
    match fs::mkdirat(descent.fd(), name, Permissions::RWXU) {
        Err(Errno::EXIST) => {
            let stat = lstat(descent.fd(), name, &path)?;
            if stat.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) != FileType::Directory)
            {
                return Err(Error::refused(path, "cannot copy to non-directory"));
            }
        }
        result => result.during("mkdirat", &path)?,
    }
    descent.enter(name)
}

/// One entry to copy: both parents are open.
struct Item<'a> {
    from: BorrowedFd<'a>,
    source_name: &'a [u8],
    source_path: &'a RelPath,
    to: BorrowedFd<'a>,
    name: &'a [u8],
    path: &'a RelPath,
}
