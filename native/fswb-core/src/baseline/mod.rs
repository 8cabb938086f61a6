//! The recorded metadata of one root file system.
//!
//! A baseline is an immutable mapped base (`mapped`, written by `save` in the layout of `format`) and a `delta` laid over
//! it, so that a step costs what it changed and not the size of the tree. A [`Cursor`] sees the two as one.

mod cursor;
mod delta;
mod format;
mod mapped;
mod save;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

pub use cursor::Cursor;
use delta::Delta;
use mapped::Mapped;

use crate::change::{ChangeKind, ChangeSet};
use crate::entry::{Entry, Inode, Kind};
use crate::error::{Error, Result};
use crate::path::RelPath;

/// All entries of one root file system at one moment.
///
/// Invariants: the root is present and a directory; every entry's parent is present and a directory.
#[derive(Debug, Clone)]
pub struct Baseline {
    root: Entry,
    base: Option<Arc<Mapped>>,
    delta: Delta,
    /// Entries, the root not counted.
    entries: usize,
    /// Directories, the root included.
    directories: usize,
}

/// Inode numbers of a baseline: see [`Baseline::inodes`].
#[derive(Debug, Clone)]
pub struct Inodes {
    base: Option<Arc<Mapped>>,
    later: HashSet<u64>,
}

impl Inodes {
    /// Whether an entry has, or had, this number.
    pub fn contains(&self, ino: u64) -> bool {
        self.later.contains(&ino)
            || self
                .base
                .as_ref()
                .is_some_and(|base| base.with_ino(ino).next().is_some())
    }

    /// Adds what became part of the baseline.
    pub fn extend(&mut self, changes: &ChangeSet) {
        let changed = changes.changes.iter();
        let changed = changed.filter_map(|change| change.after.as_ref());
        let refreshed = changes.refreshed.iter().map(|(_, entry)| entry);
        self.later
            .extend(changed.chain(refreshed).map(|entry| entry.ino));
    }
}

impl Baseline {
    /// Of a root file system that holds nothing but its root.
    pub fn empty(root: Entry) -> Self {
        Self {
            root,
            base: None,
            delta: Delta::new(),
            entries: 0,
            directories: 1,
        }
    }

    /// Maps a saved baseline.
    pub fn open(path: &Path) -> Result<Self> {
        let base = Mapped::open(path)?;
        Ok(Self {
            root: base.entry(0),
            entries: base.len() - 1,
            directories: base.directory_count(),
            base: Some(Arc::new(base)),
            delta: Delta::new(),
        })
    }

    /// Writes everything to a file (temporary, rename) and goes on with that file as the mapped base.
    ///
    /// Nothing waits for the disk: what a power cut leaves of the file fails its checksum, and a baseline can be made anew.
    pub fn save(&mut self, path: &Path) -> Result<()> {
        save::save(self, path)?;
        *self = Self::open(path)?;
        give_back();
        Ok(())
    }

    /// The root.
    pub fn root(&self) -> Cursor<'_> {
        Cursor::root(self)
    }

    /// The place of a path.
    pub fn cursor(&self, path: &RelPath) -> Option<Cursor<'_>> {
        path.parts()
            .try_fold(self.root(), |at, name| at.child(name))
    }

    /// The entry at a path.
    pub fn entry(&self, path: &RelPath) -> Option<Entry> {
        self.cursor(path).map(Cursor::entry)
    }

    /// Sorted names in a directory; none for anything else.
    pub fn children(&self, directory: &RelPath) -> Vec<Vec<u8>> {
        let children = self.cursor(directory).map(Cursor::children);
        let names = children.into_iter().flatten();
        names.map(|(name, _)| name.to_vec()).collect()
    }

    /// All directories in the order of paths, the root included.
    pub fn directories(&self) -> impl Iterator<Item = RelPath> + '_ {
        walk(self.root(), Cursor::subdirectories)
    }

    /// All paths in their order, the root not among them.
    pub fn paths(&self) -> impl Iterator<Item = RelPath> + '_ {
        walk(self.root(), Cursor::children).skip(1)
    }

    /// All recorded names of an entry's inode (`dev`, `ino`), sorted: the entry itself, if it has one name or is a
    /// directory.
    pub fn names_of(&self, inode: &Entry) -> Vec<RelPath> {
        self.names_of_inode(inode.inode())
    }

    /// As [`Self::names_of`], by device and inode number.
    pub fn names_of_inode(&self, (dev, ino): Inode) -> Vec<RelPath> {
        self.names_where(ino, |device| device == dev)
    }

    /// All recorded names with this inode number, sorted, on whatever device.
    pub fn names_with_ino(&self, ino: u64) -> Vec<RelPath> {
        self.names_where(ino, |_| true)
    }

    fn names_where(&self, ino: u64, wanted: impl Fn(u64) -> bool) -> Vec<RelPath> {
        let mut names = BTreeSet::new();
        if self.root.ino == ino && wanted(self.root.dev) {
            names.insert(RelPath::ROOT);
        }
        let delta = self.delta.with_ino(ino);
        let delta = delta.filter(|(_, entry)| wanted(entry.dev));
        names.extend(delta.filter_map(|(node, _)| self.delta.path(node)));
        if let Some(base) = &self.base {
            let nodes = base.with_ino(ino).filter(|&node| wanted(base.device(node)));
            names.extend(nodes.filter_map(|node| self.visible_path(base, node)));
        }
        names.into_iter().collect()
    }

    /// The inode numbers of all entries, and perhaps of some that are gone: what does not have one of them is not of
    /// this tree. To be kept in step by [`Inodes::extend`].
    pub fn inodes(&self) -> Inodes {
        let mut later: HashSet<u64> = self.delta.inodes().collect();
        later.insert(self.root.ino);
        Inodes {
            base: self.base.clone(),
            later,
        }
    }

    /// The topmost entries on another device than the root: other file systems mounted there, or subvolumes.
    pub fn on_other_devices(&self) -> Vec<RelPath> {
        let own = self.root.dev;
        let base = self.base.iter();
        let mut devices = base
            .flat_map(|base| base.devices().iter().copied())
            .chain(self.delta.devices());
        if devices.all(|device| device == own) {
            return Vec::new();
        }
        let mut found = Vec::new();
        let mut rest = vec![(RelPath::ROOT, self.root())];
        while let Some((path, at)) = rest.pop() {
            for (name, child) in at.children() {
                // A name that is recorded is clean.
                let Ok(path) = path.join(name) else { continue };
                if child.device() != own {
                    found.push(path);
                } else if child.kind() == Kind::Directory {
                    rest.push((path, child));
                }
            }
        }
        found.sort_unstable();
        found
    }

    /// One name of each inode that has more links than names here, sorted: somebody outside may write to it unseen here.
    pub fn linked_elsewhere(&self) -> Vec<RelPath> {
        let mut shared: HashMap<Inode, (RelPath, u32, u32)> = HashMap::new();
        for path in self.paths() {
            if let Some(entry) = self.entry(&path).filter(Entry::is_shared) {
                let known = shared.entry(entry.inode());
                known.or_insert((path, entry.nlink, 0)).2 += 1;
            }
        }
        // A bind mount shows a name twice.
        let elsewhere = shared
            .into_values()
            .filter(|(_, links, names)| names < links);
        let mut names: Vec<RelPath> = elsewhere.map(|(name, ..)| name).collect();
        names.sort_unstable();
        names
    }

    /// A character device 0/0, if one is recorded: overlayfs has no other way to write down a deleted file. It reads every
    /// record (not the disk).
    pub fn null_device(&self) -> Option<RelPath> {
        let in_base = || {
            let base = self.base.as_ref()?;
            let mut nodes = base.null_devices();
            nodes.find_map(|node| self.visible_path(base, node))
        };
        self.delta.null_device().or_else(in_base)
    }

    fn visible_path(&self, base: &Mapped, node: u32) -> Option<RelPath> {
        let path = base.path(node)?;
        let seen = self.cursor(&path)?.base_node();
        (seen == Some(node)).then_some(path)
    }

    /// Records an entry. Its parent must be a recorded directory. What was below is gone if it is no directory.
    pub fn put(&mut self, path: &RelPath, entry: Entry) -> Result<()> {
        self.put_shared(path, &Arc::new(entry))
    }

    fn put_shared(&mut self, path: &RelPath, entry: &Arc<Entry>) -> Result<()> {
        let Some(parent) = path.parent() else {
            if entry.kind != Kind::Directory {
                return Err(Error::refused(path, "the root must be a directory"));
            }
            self.root = Entry::clone(entry);
            return Ok(());
        };
        let above = self.cursor(&parent);
        let Some(above) = above.filter(|above| above.kind() == Kind::Directory) else {
            return Err(Error::refused(path, "the parent is no recorded directory"));
        };
        let known = above.child(path.name().unwrap_or_default());
        let was_directory = known.is_some_and(|known| known.kind() == Kind::Directory);
        let is_directory = entry.kind == Kind::Directory;
        match known {
            None => self.entries += 1,
            Some(known) if !is_directory => {
                let (entries, directories) = known.below();
                self.entries -= entries;
                self.directories -= directories;
            }
            Some(_) => {}
        }
        self.directories += usize::from(is_directory);
        self.directories -= usize::from(was_directory);
        self.delta
            .put(path, Arc::clone(entry), !(is_directory && was_directory));
        Ok(())
    }

    /// Forgets an entry and everything below it. The root stays.
    pub fn remove(&mut self, path: &RelPath) {
        let Some(known) = self.cursor(path) else {
            return;
        };
        let (entries, directories) = known.below();
        let has_base = known.has_base();
        let is_directory = known.kind() == Kind::Directory;
        self.entries -= entries;
        self.directories -= directories;
        if path.is_root() {
            self.delta.clear_root();
            return;
        }
        self.entries -= 1;
        self.directories -= usize::from(is_directory);
        if has_base {
            self.delta.hide(path);
        } else {
            self.delta.detach(path);
        }
    }

    /// Makes the state after `changes` the recorded one. Costs what changed.
    pub fn apply(&mut self, changes: &ChangeSet) -> Result<()> {
        for change in &changes.changes {
            if matches!(change.kind, ChangeKind::Deleted | ChangeKind::Replaced) {
                self.remove(&change.path);
            }
            if let Some(after) = &change.after {
                self.put_shared(&change.path, after)?;
            }
        }
        for (path, entry) in &changes.refreshed {
            self.put_shared(path, entry)?;
        }
        Ok(())
    }

    /// Number of entries, the root not counted.
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Number of directories, the root counted.
    pub fn directory_count(&self) -> usize {
        self.directories
    }

    /// Whether there is nothing but the root.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }
}

/// Returns what was freed to the system. The delta of an unpacked base is many small pieces, which the GNU allocator would
/// keep for ever.
fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) has no preconditions and may be called by any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

fn walk<'a>(
    root: Cursor<'a>,
    below: impl Fn(Cursor<'a>) -> Vec<(&'a [u8], Cursor<'a>)>,
) -> impl Iterator<Item = RelPath> {
    let mut rest = vec![(RelPath::ROOT, root)];
    std::iter::from_fn(move || {
        let (path, at) = rest.pop()?;
        // The last one pushed comes next: an iterator, not a recursion, however deep the tree.
        for (name, child) in below(at).into_iter().rev() {
            if let Ok(path) = path.join(name) {
                rest.push((path, child));
            }
        }
        Some((path, at))
    })
    .map(|(path, _)| path)
}
