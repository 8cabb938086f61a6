//! The recorded metadata of one root file system.

use std::collections::BTreeMap;
use std::path::Path;

use crate::entry::{Entry, Kind};
use crate::error::{Error, Result};
use crate::path::RelPath;

/// All entries of one root file system at one moment.
///
/// Invariants: the root is present and a directory; every entry's parent is present and a directory.
#[derive(Debug)]
pub struct Baseline {
    entries: BTreeMap<RelPath, Entry>,
}

impl Baseline {
    /// Of a root file system that holds nothing but its root.
    pub fn empty(root: Entry) -> Self {
        Self {
            entries: BTreeMap::from([(RelPath::ROOT, root)]),
        }
    }

    /// Maps a saved baseline.
    pub fn open(_path: &Path) -> Result<Self> {
        Err(Error::refused("", "not written yet"))
    }

    /// Writes everything to a file and goes on with that file as the mapped base.
    pub fn save(&mut self, _path: &Path) -> Result<()> {
        Err(Error::refused("", "not written yet"))
    }

    /// The entry at a path.
    pub fn entry(&self, path: &RelPath) -> Option<Entry> {
        self.entries.get(path).cloned()
    }

    /// Sorted names in a directory; none for anything else.
    pub fn children(&self, directory: &RelPath) -> Vec<Vec<u8>> {
        let below = self
            .entries
            .range(directory.clone()..)
            .skip(1)
            .take_while(|(path, _)| path.is_within(directory));
        below
            .filter(|(path, _)| path.parent().as_ref() == Some(directory))
            .filter_map(|(path, _)| path.name().map(<[u8]>::to_vec))
            .collect()
    }

    /// All directories, parents first, the root included.
    pub fn directories(&self) -> impl Iterator<Item = RelPath> + '_ {
        self.entries
            .iter()
            .filter(|(_, entry)| entry.kind == Kind::Directory)
            .map(|(path, _)| path.clone())
    }

    /// All recorded names of an entry's inode (`dev`, `ino`), sorted, if it has several links; none for a directory or a
    /// single name.
    pub fn names_of(&self, inode: &Entry) -> Vec<RelPath> {
        let same = |entry: &Entry| {
            entry.kind != Kind::Directory
                && entry.nlink > 1
                && (entry.dev, entry.ino) == (inode.dev, inode.ino)
        };
        self.entries
            .iter()
            .filter(|(_, entry)| same(entry))
            .map(|(path, _)| path.clone())
            .collect()
    }

    /// Records an entry. Its parent must be a recorded directory. What was below is gone if it is no directory.
    pub fn put(&mut self, path: &RelPath, entry: Entry) -> Result<()> {
        if let Some(parent) = path.parent() {
            if self
                .entries
                .get(&parent)
                .is_none_or(|parent| parent.kind != Kind::Directory)
            {
                return Err(Error::refused(path, "the parent is no recorded directory"));
            }
        }
        if entry.kind != Kind::Directory {
            self.remove(path);
        }
        self.entries.insert(path.clone(), entry);
        Ok(())
    }

    /// Forgets an entry and everything below it. The root stays.
    pub fn remove(&mut self, path: &RelPath) {
        self.entries
            .retain(|known, _| known.is_root() || !known.is_within(path));
    }

    /// Number of entries, the root not counted.
    pub fn len(&self) -> usize {
        self.entries.len() - 1
    }

    /// Whether there is nothing but the root.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
