//! What differs between a baseline and the disk.

use std::sync::Arc;

use bitflags::bitflags;

use crate::entry::Entry;
use crate::hint::Loss;
use crate::path::RelPath;

/// How an entry changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// It was not there before.
    Added,
    /// It is of the same kind as before; [`Why`] says what differs.
    Modified,
    /// Something of another kind took its name.
    Replaced,
    /// It is gone, with all that was below it.
    Deleted,
}

bitflags! {
    /// What differs, for an entry that was there before.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct Why: u16 {
        /// Permission bits.
        const MODE = 1;
        /// Owner.
        const UID = 1 << 1;
        /// Group.
        const GID = 1 << 2;
        /// Device number.
        const RDEV = 1 << 3;
        /// Target of a symbolic link.
        const TARGET = 1 << 4;
        /// Extended attributes.
        const XATTRS = 1 << 5;
        /// Content of a regular file.
        const CONTENT = 1 << 6;
        /// Time of modification.
        const MTIME = 1 << 7;
        /// With which names it shares an inode.
        const LINKS = 1 << 8;
        /// Nothing differs, but a COPY or ADD lists it, and its list is authoritative.
        const LISTED = 1 << 9;
    }
}

impl Why {
    /// What differs in the metadata of two entries of one kind. Content and hard links are for others to judge.
    pub fn between(before: &Entry, now: &Entry) -> Self {
        let mut why = Self::empty();
        why.set(Self::MODE, before.mode != now.mode);
        why.set(Self::UID, before.uid != now.uid);
        why.set(Self::GID, before.gid != now.gid);
        why.set(Self::RDEV, before.rdev != now.rdev);
        why.set(Self::TARGET, before.target != now.target);
        why.set(Self::XATTRS, before.xattrs != now.xattrs);
        why.set(Self::MTIME, before.mtime_ns != now.mtime_ns);
        why
    }
}

/// One changed entry. Entries are shared with the baseline that they become part of.
///
/// Invariants: `after` is `None` iff it was deleted, `before` is `None` iff it was added, `why` is empty unless modified
/// and never empty when modified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub path: RelPath,
    /// How.
    pub kind: ChangeKind,
    /// What differs.
    pub why: Why,
    /// As recorded in the baseline.
    pub before: Option<Arc<Entry>>,
    /// As found on disk.
    pub after: Option<Arc<Entry>>,
}

/// How much was looked at to find the changes: the cost, not the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Effort {
    /// Entries stat'ed.
    pub stats: u64,
    /// Directories listed.
    pub listings: u64,
    /// Files whose content was hashed.
    pub hashed_files: u64,
    /// Bytes of them.
    pub hashed_bytes: u64,
}

/// The changes of one step.
///
/// Invariants: sorted by path, one change a path, no change below a deletion, no deletion below a replaced directory, and
/// for hard links: a group of names of one inode that gained a name, or changed content or metadata, is here whole.
#[derive(Debug, Clone, Default)]
pub struct ChangeSet {
    /// What goes into the layer, but for the directories above.
    pub changes: Vec<Change>,
    /// Entries whose evidence is new though nothing about them changed: for the next baseline only.
    pub refreshed: Vec<(RelPath, Arc<Entry>)>,
    /// Sockets found; an image cannot hold them.
    pub sockets: Vec<RelPath>,
    /// What was lost and is found again: the places in it have been looked at.
    pub losses: Vec<Loss>,
    /// What it took.
    pub effort: Effort,
}
