//! What events said since the last settle, each thing once, in bounded memory.
//!
//! A change of an inode is told by its number, a change of a name by the directory's number and the name. Numbers that the
//! baseline does not know are dropped: they belong to others on the same file system, or to what came into being during
//! the step, which the creation of its topmost name covers.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::baseline::{Baseline, Inodes};
use crate::entry::Kind;
use crate::fanotify::event::{Event, Place};
use crate::handle::{Handle, Inode};
use crate::hint::{HintSet, LossReason, Scope};
use crate::path::RelPath;

/// Names in one directory that are kept one by one: see the constant of that name in [`crate::inotify`].
pub(super) const CROWD: usize = 4096;

/// Names and inodes that are kept in all: about 30 MB. A step that touches more is not worth remembering in detail: its
/// tree is looked at whole.
pub(super) const LIMIT: usize = 1 << 18;

/// Answers of the baseline that are kept: foreign traffic mostly repeats itself, and must not fill the memory.
pub(super) const REMEMBERED: usize = 1 << 16;

/// What overlayfs makes in the work directory of every mount, and the beginning of the names that it makes in there to try
/// the file system (`ovl_make_workdir` and `ovl_check_rename_whiteout` in fs/overlayfs/super.c, since Linux 5.8).
const OVERLAY_WORK: &[u8] = b"work";
const OVERLAY_TRIAL: &[u8] = b"#";

/// What happened to the names in one directory of the baseline. That there is one: the directory has a new mtime.
#[derive(Debug, Default)]
struct Names {
    scopes: HashMap<Box<[u8]>, Scope>,
    /// How many of them are entries, and how many new directories.
    counts: [usize; 2],
    /// What stands for names that were too many.
    whole: Option<Scope>,
}

impl Names {
    /// Adds a name; returns how many are kept more, or fewer.
    fn add(&mut self, name: &[u8], scope: Scope) -> isize {
        let (crowded, whole) = match scope {
            Scope::Entry => (0, Scope::Children),
            Scope::Children | Scope::Subtree => (1, Scope::Subtree),
        };
        if self.whole >= Some(whole) {
            return 0;
        }
        if let Some(known) = self.scopes.get_mut(name) {
            if *known < scope {
                *known = scope;
                self.counts[0] -= 1;
                self.counts[1] += 1;
            }
            return 0;
        }
        if self.counts[crowded] < CROWD {
            self.scopes.insert(name.into(), scope);
            self.counts[crowded] += 1;
            return 1;
        }
        let before = self.scopes.len();
        self.scopes.retain(|_, scope| *scope >= whole);
        self.counts[0] = 0;
        if whole == Scope::Subtree {
            self.scopes.clear();
            self.counts[1] = 0;
        }
        self.whole = Some(whole);
        self.scopes.len() as isize - before as isize
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    directories: HashMap<u64, Names>,
    inodes: HashSet<u64>,
    losses: BTreeSet<LossReason>,
    kept: usize,
    /// New directories of the name that overlayfs gives to its own.
    work: HashSet<u64>,
}

impl Gathered {
    /// The whole tree is unknown from now on, whatever else comes.
    pub(super) fn lose(&mut self, reason: LossReason) {
        self.losses.insert(reason);
        self.directories = HashMap::new();
        self.inodes = HashSet::new();
        self.kept = 0;
    }

    /// How many names and inodes are kept.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.kept
    }

    fn inode(&mut self, ino: u64) {
        if self.losses.is_empty() && self.inodes.insert(ino) {
            self.keep(1);
        }
    }

    fn name(&mut self, directory: u64, name: &[u8], scope: Scope) {
        if self.losses.is_empty() {
            let more = self
                .directories
                .entry(directory)
                .or_default()
                .add(name, scope);
            self.keep(more);
        }
    }

    fn keep(&mut self, more: isize) {
        self.kept = self.kept.saturating_add_signed(more);
        if self.kept > LIMIT {
            self.lose(LossReason::Flood);
        }
    }

    /// As hints: everything under the names that `baseline` has for it, which must be the one that was in force.
    pub(super) fn resolve(self, baseline: &Baseline) -> HintSet {
        let mut hints = HintSet::default();
        for reason in self.losses {
            hints.lose(reason, RelPath::ROOT);
        }
        for ino in self.inodes {
            for path in baseline.names_with_ino(ino) {
                hints.add(path, Scope::Entry);
            }
        }
        for (ino, names) in self.directories {
            for directory in baseline.names_with_ino(ino) {
                // The number may be one that a file had when the baseline was taken.
                let entry = baseline.cursor(&directory);
                if entry.is_none_or(|entry| entry.kind() != Kind::Directory) {
                    continue;
                }
                for (name, &scope) in &names.scopes {
                    // The kernel's names are clean.
                    if let Ok(path) = directory.join(name) {
                        hints.add(path, scope);
                    }
                }
                hints.add(directory, names.whole.unwrap_or(Scope::Entry));
            }
        }
        hints
    }
}

/// Tells events about the tree from those about the rest of its file system.
#[derive(Debug)]
pub(super) struct Sieve {
    inodes: Inodes,
    subvolume: u64,
    remembered: HashMap<u64, bool>,
}

impl Sieve {
    pub(super) fn new(inodes: Inodes, subvolume: u64) -> Self {
        Self {
            inodes,
            subvolume,
            remembered: HashMap::new(),
        }
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.remembered.len()
    }

    /// Changes what the tree consists of.
    pub(super) fn update(&mut self, update: impl FnOnce(&mut Inodes)) {
        update(&mut self.inodes);
        self.remembered.clear();
    }

    /// The number of an inode of the tree.
    fn own(&mut self, handle: Handle<'_>, gathered: &mut Gathered) -> Option<u64> {
        let Some(inode) = handle.inode() else {
            gathered.lose(LossReason::UnreadableEvent);
            return None;
        };
        self.knows(inode).then_some(inode.ino)
    }

    /// Whether an inode is one of the tree.
    pub(super) fn knows(&mut self, inode: Inode) -> bool {
        if inode.subvolume != self.subvolume {
            return false;
        }
        if let Some(&known) = self.remembered.get(&inode.ino) {
            return known;
        }
        if self.remembered.len() >= REMEMBERED {
            self.remembered.clear();
        }
        let known = self.inodes.contains(inode.ino);
        self.remembered.insert(inode.ino, known);
        known
    }

    /// Whether an event is about the tree, as far as the baseline knows it: of an inode, or in a directory.
    pub(super) fn concerns(&mut self, event: &Event<'_>) -> bool {
        let place = event.place.map(|place| place.directory);
        let told = event.target.into_iter().chain(place);
        told.filter_map(Handle::inode)
            .any(|inode| self.knows(inode))
    }

    /// Keeps what an event says about the tree.
    pub(super) fn pass(&mut self, event: &Event<'_>, gathered: &mut Gathered) {
        if event.mask & libc::FAN_Q_OVERFLOW != 0 {
            gathered.lose(LossReason::QueueOverflow);
            return;
        }
        if self.is_overlay_mounted(event, gathered) {
            gathered.lose(LossReason::NestedOverlay);
            return;
        }
        let itself = event.place.is_some_and(|place| place.name == b".");
        if event.target.is_none() && !itself {
            // The kernel could not tell of what it is an event.
            gathered.lose(LossReason::UnreadableEvent);
            return;
        }
        if let Some(ino) = event.target.and_then(|handle| self.own(handle, gathered)) {
            gathered.inode(ino);
        }
        let came = libc::FAN_CREATE | libc::FAN_RENAME;
        let scope = if event.mask & libc::FAN_ONDIR != 0 && event.mask & came != 0 {
            Scope::Subtree
        } else {
            Scope::Entry
        };
        match (event.place, event.renamed) {
            (Some(place), _) if itself => {
                if let Some(ino) = self.own(place.directory, gathered) {
                    gathered.inode(ino);
                }
            }
            (Some(from), Some(to)) => {
                self.name(from, Scope::Entry, gathered);
                self.name(to, scope, gathered);
            }
            (Some(place), None) if event.mask & (came | libc::FAN_DELETE) != 0 => {
                self.name(place, scope, gathered);
            }
            // What happened to an inode is told by its number, whatever name was used.
            _ => {}
        }
    }

    /// Whether an overlay is being mounted whose work directory, and so its upper directory, is in the tree. (They are to be
    /// of one mount, and a RUN has no other that shows the tree.) From now on files in there may be written to without an
    /// event: overlayfs opens them with `FMODE_NONOTIFY` on Linux 6.1. On 6.18 it does not.
    fn is_overlay_mounted(&mut self, event: &Event<'_>, gathered: &mut Gathered) -> bool {
        let (Some(place), Some(target)) = (event.place, event.target) else {
            return false;
        };
        if event.mask & libc::FAN_CREATE == 0 {
            return false;
        }
        if event.mask & libc::FAN_ONDIR != 0 && place.name == OVERLAY_WORK {
            if let (Some(_), Some(made)) = (self.own(place.directory, gathered), target.inode()) {
                gathered.work.insert(made.ino);
            }
        }
        let directory = place.directory.inode();
        place.name.starts_with(OVERLAY_TRIAL)
            && directory.is_some_and(|directory| gathered.work.contains(&directory.ino))
    }

    /// Keeps the files of the tree that may have changed without an event.
    pub(super) fn hint_muted(&self, muted: impl Iterator<Item = Inode>, gathered: &mut Gathered) {
        for inode in muted.filter(|inode| inode.subvolume == self.subvolume) {
            if self.inodes.contains(inode.ino) {
                gathered.inode(inode.ino);
            }
        }
    }

    fn name(&mut self, place: Place<'_>, scope: Scope, gathered: &mut Gathered) {
        if let Some(directory) = self.own(place.directory, gathered) {
            gathered.name(directory, place.name, scope);
        }
    }
}
