//! The directories that are written to: found once, kept open for a while, their times kept for the end.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use rustix::fs::{self, Mode, OFlags, RawDir};
use rustix::io::Errno;

use crate::entry::{Entry, Kind};
use crate::error::{Context, Error, Result};
use crate::extract::metadata::{Owner, Place};
use crate::extract::remove::remove_all;
use crate::path::RelPath;
use crate::root::{Root, stat_at, stat_bare};

// Members of one directory mostly follow each other; directories in between come back soon.
const MAX_OPEN: usize = 64;

/// An open directory.
pub(super) struct Directory {
    /// Its exact path.
    pub(super) path: RelPath,
    pub(super) fd: OwnedFd,
    touched: Cell<bool>,
    /// Whether files made in it come without extended attributes; `None`: not known yet.
    pub(super) makes_bare: Cell<Option<bool>>,
}

impl Directory {
    fn new(path: RelPath, fd: OwnedFd) -> Self {
        Self {
            path,
            fd,
            touched: Cell::new(false),
            makes_bare: Cell::new(None),
        }
    }

    /// The names in it.
    pub(super) fn names(&self) -> Result<Vec<Vec<u8>>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let listing =
            fs::openat(&self.fd, ".", flags, Mode::empty()).during("openat", &self.path)?;
        let mut names = Vec::new();
        let mut space = Vec::with_capacity(32 * 1024);
        let mut entries = RawDir::new(listing, space.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry.during("getdents64", &self.path)?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(name.to_vec());
            }
        }
        Ok(names)
    }
}

/// The root file system while an archive is being unpacked over it.
pub(super) struct Tree<'a> {
    root: &'a Root,
    /// By path as the archive spells it, links in it unresolved.
    open: HashMap<RelPath, Rc<Directory>>,
    /// The times that directories get at the end, by exact path; `None`: what they have.
    times: BTreeMap<RelPath, Option<i64>>,
    created: Created,
    /// Whose files this process makes.
    pub(super) maker: Owner,
    /// Parents that had to be made, since they were last asked for.
    pub(super) new_parents: Vec<RelPath>,
    /// What could not be done and is no reason to stop.
    pub(super) warnings: Vec<String>,
}

/// Who owns what no one lists: root. (An ordinary user, in a test, can only give away nothing.)
pub(super) fn default_owner() -> Owner {
    let user = rustix::process::geteuid();
    if user.is_root() {
        return (0, 0);
    }
    (user.as_raw(), rustix::process::getegid().as_raw())
}

/// How parents that an archive takes for granted are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Created {
    pub(super) owner: Owner,
    /// `None`: the time of their making.
    pub(super) mtime_ns: Option<i64>,
}

impl<'a> Tree<'a> {
    pub(super) fn new(root: &'a Root, created: Created) -> Self {
        Self {
            root,
            open: HashMap::new(),
            times: BTreeMap::new(),
            created,
            maker: (
                rustix::process::geteuid().as_raw(),
                rustix::process::getegid().as_raw(),
            ),
            new_parents: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The directory that `spelled` leads to, links followed inside the root; missing levels are made, 0755.
    pub(super) fn directory_to_write(&mut self, spelled: &RelPath) -> Result<Rc<Directory>> {
        if let Some(directory) = self.directory(spelled)? {
            return Ok(directory);
        }
        let real = self.root.resolve(spelled.as_bytes())?;
        // Step by step, so that the work grows with the depth and not with its square.
        let mut at = self.root.open_directory(&RelPath::ROOT)?;
        let mut above = RelPath::ROOT;
        for part in real.parts() {
            let level = above.join(part)?;
            let parent = Directory::new(above, at);
            self.make_level(&parent, part, &level)?;
            at = step(&parent, part, &level)?;
            above = level;
        }
        Ok(self.keep(spelled, real, at))
    }

    /// The directory that `spelled` leads to, if there is one.
    pub(super) fn directory(&mut self, spelled: &RelPath) -> Result<Option<Rc<Directory>>> {
        if let Some(directory) = self.open.get(spelled) {
            return Ok(Some(Rc::clone(directory)));
        }
        if let (Some(parent), Some(name)) = (spelled.parent(), spelled.name()) {
            if let Some(parent) = self.open.get(&parent).map(Rc::clone) {
                let path = parent.path.join(name)?;
                match step(&parent, name, &path) {
                    Ok(fd) => return Ok(Some(self.keep(spelled, path, fd))),
                    // A link, which leads elsewhere, or nothing.
                    Err(error) if error.is_absent() => {}
                    Err(error) => return Err(error),
                }
            }
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        match self.root.open_exact(spelled, flags, Mode::empty()) {
            Ok(fd) => return Ok(Some(self.keep(spelled, spelled.clone(), fd))),
            Err(Error::System {
                errno: libc::ELOOP | libc::ENOTDIR,
                ..
            }) => {}
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(error),
        }
        let real = self.root.resolve(spelled.as_bytes())?;
        match self.root.open_exact(&real, flags, Mode::empty()) {
            Ok(fd) => Ok(Some(self.keep(spelled, real, fd))),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The directory at an exact path; `None` for anything else, a link to a directory included.
    pub(super) fn exact_directory(&self, path: &RelPath) -> Result<Option<Directory>> {
        match self
            .root
            .open_exact(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())
        {
            Ok(fd) => Ok(Some(Directory::new(path.clone(), fd))),
            Err(Error::System {
                errno: libc::ELOOP, ..
            }) => Ok(None),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn keep(&mut self, spelled: &RelPath, path: RelPath, fd: OwnedFd) -> Rc<Directory> {
        if self.open.len() >= MAX_OPEN {
            self.open.clear();
        }
        let directory = Rc::new(Directory::new(path, fd));
        self.open.insert(spelled.clone(), Rc::clone(&directory));
        directory
    }

    fn make_level(&mut self, above: &Directory, name: &[u8], level: &RelPath) -> Result<()> {
        if stat_bare(above.fd.as_fd(), name, level)?.is_some() {
            return Ok(());
        }
        self.touch(above)?;
        let place = Place::named(above.fd.as_fd(), name, level);
        place.make_directory()?;
        place.own(self.created.owner)?;
        place.set_mode(0o755)?;
        self.times.insert(level.clone(), self.created.mtime_ns);
        self.new_parents.push(level.clone());
        Ok(())
    }

    /// Notes the directory's time before its first change.
    pub(super) fn touch(&mut self, directory: &Directory) -> Result<()> {
        if directory.touched.replace(true) || self.times.contains_key(&directory.path) {
            return Ok(());
        }
        let before = stat_bare(directory.fd.as_fd(), b"", &directory.path)?;
        self.times
            .insert(directory.path.clone(), before.map(|entry| entry.mtime_ns));
        Ok(())
    }

    /// The time a directory of the archive gets at the end.
    pub(super) fn set_time_at_end(&mut self, path: &RelPath, mtime_ns: i64) {
        self.times.insert(path.clone(), Some(mtime_ns));
    }

    /// A directory got other attributes: what was found out about it no longer holds.
    pub(super) fn forget_directory(&mut self, path: &RelPath) {
        self.open.retain(|_, directory| directory.path != *path);
    }

    /// Removes what has the name, if anything; the directory's time is noted before.
    pub(super) fn clear(
        &mut self,
        directory: &Directory,
        name: &[u8],
        path: &RelPath,
    ) -> Result<()> {
        let found = stat_bare(directory.fd.as_fd(), name, path)?;
        self.touch(directory)?;
        remove_all(directory.fd.as_fd(), name, path)?;
        // Ways through a directory or a link lead elsewhere now.
        if found.is_some_and(|entry| matches!(entry.kind, Kind::Directory | Kind::Symlink)) {
            self.open.clear();
            let below = self.times.range(path.clone()..);
            let gone: Vec<_> = below
                .map(|(known, _)| known)
                .take_while(|known| known.is_within(path))
                .cloned()
                .collect();
            for known in gone {
                self.times.remove(&known);
            }
        }
        Ok(())
    }

    /// Gives every directory its time, and stats it: nothing touches it after that.
    pub(super) fn finish(
        &mut self,
        mut sealed: impl FnMut(RelPath, Entry) -> Result<()>,
    ) -> Result<()> {
        self.open.clear();
        for (path, mtime_ns) in std::mem::take(&mut self.times) {
            let entry = match (path.parent(), path.name()) {
                (Some(parent), Some(name)) => {
                    let above = self.directory(&parent)?.ok_or_else(|| gone(&path))?;
                    seal(&Place::named(above.fd.as_fd(), name, &path), mtime_ns)?
                }
                _ => seal(&Place::named(self.root.fd(), b".", &path), mtime_ns)?,
            };
            sealed(path, entry)?;
        }
        Ok(())
    }

    /// Stats an entry by its exact path.
    pub(super) fn stat(&mut self, path: &RelPath) -> Result<Entry> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return self.root.entry(path)?.ok_or_else(|| gone(path));
        };
        let above = self.directory(&parent)?.ok_or_else(|| gone(path))?;
        stat_at(above.fd.as_fd(), name, path)?.ok_or_else(|| gone(path))
    }
}

/// Opens a directory in another; a link is `ENOTDIR`.
fn step(above: &Directory, name: &[u8], path: &RelPath) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat(&above.fd, name, flags, Mode::empty()).during("openat", path)
}

fn seal(place: &Place<'_>, mtime_ns: Option<i64>) -> Result<Entry> {
    if let Some(mtime_ns) = mtime_ns {
        place.set_mtime(mtime_ns)?;
    }
    place.stat()
}

fn gone(path: &RelPath) -> Error {
    Error::system("statx", path, Errno::NOENT)
}
