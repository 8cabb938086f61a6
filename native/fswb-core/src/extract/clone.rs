//! A second tree with the bytes of a recorded one: files share their blocks (`FICLONE`, on xfs and btrfs), so it costs its
//! entries and not its size. What was recorded of a file's content holds for its copy.

use std::collections::HashMap;
use std::os::fd::AsFd;

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};

use crate::baseline::{Baseline, Cursor};
use crate::clock::Clock;
use crate::descent::Descent;
use crate::entry::{Entry, Inode, Kind};
use crate::error::{Context, Error, Result};
use crate::extract::metadata::Place;
use crate::hash::open_file;
use crate::path::RelPath;
use crate::root::{Root, stat_bare};

/// Makes everything that `baseline` records of `from` anew in `to`, an empty directory, and records it with the evidence it
/// has there.
///
/// # Errors
///
/// `EOPNOTSUPP` or `EXDEV` of `ioctl` where the two cannot share blocks. `to` is then half filled and must be thrown away.
pub fn clone_tree(from: &Root, baseline: &Baseline, to: &Root) -> Result<Baseline> {
    // Before the first stat: see `Clock`.
    let clock = Clock::of(to)?;
    let root = stat_bare(to.fd(), b"", &RelPath::ROOT)?;
    let root = root.ok_or_else(|| Error::system("statx", to.path(), rustix::io::Errno::NOENT))?;
    let mut copy = Copy {
        clock,
        made: Baseline::empty(root),
        links: HashMap::new(),
        source: Descent::new(from.open_directory(&RelPath::ROOT)?, RelPath::ROOT),
        target: Descent::new(to.open_directory(&RelPath::ROOT)?, RelPath::ROOT),
        to,
    };
    let mut left = vec![(baseline.root(), copy.fill(baseline.root())?)];
    while let Some((known, directories)) = left.last_mut() {
        if let Some((name, child)) = directories.pop() {
            copy.source.enter(name)?;
            copy.target.enter(name)?;
            left.push((child, copy.fill(child)?));
        } else {
            copy.seal(&known.entry())?;
            left.pop();
            copy.source.leave()?;
            copy.target.leave()?;
        }
    }
    copy.seal_links()?;
    Ok(copy.made)
}

/// Two descents side by side.
struct Copy<'a> {
    clock: Clock,
    made: Baseline,
    /// Names of inodes that have several, by the inode that was recorded.
    links: HashMap<Inode, Vec<RelPath>>,
    source: Descent,
    target: Descent,
    to: &'a Root,
}

impl Copy<'_> {
    /// Makes what is in the current directory; of directories no more than that, and returns them.
    fn fill<'b>(&mut self, directory: Cursor<'b>) -> Result<Vec<(&'b [u8], Cursor<'b>)>> {
        let mut directories = Vec::new();
        for (name, child) in directory.children() {
            let path = self.target.path().join(name)?;
            let known = child.entry();
            if known.kind == Kind::Directory {
                let place = Place::named(self.target.fd(), name, &path);
                place.make_directory()?;
                self.record(&path, place.stat_bare()?)?;
                directories.push((name, child));
            } else if let Some(first) = self.links.get(&known.inode()).and_then(|of| of.first()) {
                self.link(&first.clone(), name, &path, &known)?;
            } else {
                self.make(name, &path, &known)?;
                if known.is_shared() {
                    self.links.insert(known.inode(), vec![path]);
                }
            }
        }
        Ok(directories)
    }

    fn make(&mut self, name: &[u8], path: &RelPath, known: &Entry) -> Result<()> {
        let at = self.target.fd();
        let node =
            |kind| fs::mknodat(at, name, kind, Mode::RUSR, known.rdev).during("mknodat", path);
        let file;
        let place = match known.kind {
            Kind::File => {
                let flags = OFlags::WRONLY
                    | OFlags::CREATE
                    | OFlags::EXCL
                    | OFlags::NOFOLLOW
                    | OFlags::CLOEXEC;
                file =
                    fs::openat(at, name, flags, Mode::RUSR | Mode::WUSR).during("openat", path)?;
                if known.size > 0 {
                    let source = open_file(self.source.fd(), name, path)?;
                    fs::ioctl_ficlone(&file, &source).during("ioctl", path)?;
                }
                Place::open(file.as_fd(), path)
            }
            kind => {
                match kind {
                    Kind::Symlink => fs::symlinkat(known.target.as_slice(), at, name)
                        .during("symlinkat", path)?,
                    Kind::Fifo => node(FileType::Fifo)?,
                    Kind::CharDevice => node(FileType::CharacterDevice)?,
                    Kind::BlockDevice => node(FileType::BlockDevice)?,
                    Kind::Directory | Kind::File => {}
                }
                Place::named(at, name, path)
            }
        };
        let made = furnish(&place, known)?;
        self.record(path, made)
    }

    fn link(&mut self, first: &RelPath, name: &[u8], path: &RelPath, known: &Entry) -> Result<()> {
        let Some(Some((directory, from))) = self.to.directory_of(first)? else {
            return Err(Error::system("linkat", first, rustix::io::Errno::NOENT));
        };
        fs::linkat(
            &directory,
            from.as_slice(),
            self.target.fd(),
            name,
            AtFlags::empty(),
        )
        .during("linkat", path)?;
        let made = Place::named(self.target.fd(), name, path).stat_bare()?;
        self.record(path, like(known, made))?;
        if let Some(names) = self.links.get_mut(&known.inode()) {
            names.push(path.clone());
        }
        Ok(())
    }

    /// The current directory is full: nothing touches it after this.
    fn seal(&mut self, known: &Entry) -> Result<()> {
        let path = self.target.path().clone();
        let made = furnish(&Place::open(self.target.fd(), &path), known)?;
        self.record(&path, made)
    }

    /// Each link that was made later moved the ctime of its inode.
    fn seal_links(&mut self) -> Result<()> {
        for names in std::mem::take(&mut self.links).into_values() {
            let Some(first) = names.first() else { continue };
            let Some(Some((directory, name))) = self.to.directory_of(first)? else {
                return Err(Error::system("statx", first, rustix::io::Errno::NOENT));
            };
            let now = Place::named(directory.as_fd(), &name, first).stat_bare()?;
            for path in &names {
                if let Some(known) = self.made.entry(path) {
                    self.record(path, like(&known, now.clone()))?;
                }
            }
        }
        Ok(())
    }

    fn record(&mut self, path: &RelPath, mut entry: Entry) -> Result<()> {
        entry.racy = self.clock.is_racy(&entry);
        self.made.put(path, entry)
    }
}

/// Gives an entry the metadata that was recorded, the time last, and stats it.
fn furnish(place: &Place<'_>, known: &Entry) -> Result<Entry> {
    place.own((known.uid, known.gid))?;
    if known.kind != Kind::Symlink {
        place.set_mode(known.mode)?;
    }
    let mut lost = Vec::new();
    place.set_xattrs(known.kind, &known.xattrs, &mut lost)?;
    if let Some(lost) = lost.pop() {
        return Err(Error::refused(b"", lost));
    }
    place.set_mtime(known.mtime_ns)?;
    Ok(like(known, place.stat_bare()?))
}

/// What a stat does not tell is as it was recorded.
fn like(known: &Entry, made: Entry) -> Entry {
    Entry {
        target: known.target.clone(),
        xattrs: known.xattrs.clone(),
        sha256: known.sha256,
        ..made
    }
}
