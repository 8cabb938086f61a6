//! Where to look: hints, and losses, the places a watcher no longer vouches for.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crate::path::RelPath;

/// How far around a hint's path to look. Ordered: a wider scope covers a narrower one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// The entry itself.
    Entry,
    /// The entry and its direct children.
    Children,
    /// The entry and all that is below it.
    Subtree,
}

/// Why a part of the tree is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LossReason {
    /// The kernel's event queue was full (`IN_Q_OVERFLOW`): events anywhere may be missing.
    QueueOverflow,
    /// No watch could be set (`ENOSPC`, `fs.inotify.max_user_watches`): nothing below is watched.
    WatchLimit,
    /// One directory at several paths, by a bind mount: it has one watch, and events tell one of the paths.
    SharedWatch,
    /// A watched file system was unmounted (`IN_UNMOUNT`).
    Unmounted,
    /// An event named a watch that is not known.
    UnknownWatch,
    /// An inode has more names than were found.
    MissingLinks,
    /// On another device than the root: a mark on the root's file system does not reach it.
    OtherDevice,
    /// More happened than is kept, or read.
    Flood,
    /// An event that does not tell what it is about.
    UnreadableEvent,
    /// Not all hard links that may have been made are there: a file may have been changed through one that is gone.
    VanishedLinks,
    /// Nobody could watch whether hard links are made.
    UnseenLinks,
    /// An overlay was mounted whose upper directory is here: what is written through it raises no event.
    NestedOverlay,
    /// So much was written that the kernel was asked to tell of no more writes: to look is cheaper.
    WriteStorm,
}

/// A part of the tree that a watcher does not vouch for. `path` is the root of the smallest subtree now unknown.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Loss {
    /// Why.
    pub reason: LossReason,
    /// Where: this and all below it.
    pub path: RelPath,
}

/// Places to look at. It says where, never what.
///
/// Union is associative, commutative and idempotent: of two scopes for one path the wider wins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HintSet {
    hints: BTreeMap<RelPath, Scope>,
    losses: BTreeSet<Loss>,
}

impl HintSet {
    /// Adds one place; `false` if the path was among them.
    pub fn add(&mut self, path: RelPath, scope: Scope) -> bool {
        match self.hints.entry(path) {
            Entry::Vacant(vacant) => {
                vacant.insert(scope);
                true
            }
            Entry::Occupied(mut known) => {
                let wider = scope.max(*known.get());
                known.insert(wider);
                false
            }
        }
    }

    /// The scope of a path, if it is one of the places.
    pub fn scope(&self, path: &RelPath) -> Option<Scope> {
        self.hints.get(path).copied()
    }

    /// Takes out what a wider scope of `directory`, which it has now, covers.
    pub fn thin_out(&mut self, directory: &RelPath) {
        let Some(scope) = self.scope(directory) else {
            return;
        };
        let below = self
            .hints
            .range(directory.clone()..)
            .skip_while(|(path, _)| *path == directory);
        let below = below.take_while(|(path, _)| path.is_within(directory));
        let depth = directory.parts().count() + 1;
        let covered = |path: &RelPath, known| match scope {
            Scope::Entry => false,
            Scope::Children => known == Scope::Entry && path.parts().count() == depth,
            Scope::Subtree => true,
        };
        let narrow: Vec<_> = below
            .filter(|&(path, &known)| covered(path, known))
            .map(|(path, _)| path.clone())
            .collect();
        for path in narrow {
            self.hints.remove(&path);
        }
    }

    /// Adds one loss. It is not a hint until somebody widens it.
    pub fn lose(&mut self, reason: LossReason, path: RelPath) {
        self.losses.insert(Loss { reason, path });
    }

    /// Adds all of another set.
    pub fn merge(&mut self, other: Self) {
        for (path, scope) in other.hints {
            self.add(path, scope);
        }
        self.losses.extend(other.losses);
    }

    /// The places, parents first.
    pub fn hints(&self) -> impl Iterator<Item = (&RelPath, Scope)> {
        self.hints.iter().map(|(path, &scope)| (path, scope))
    }

    /// The losses.
    pub fn losses(&self) -> impl Iterator<Item = &Loss> {
        self.losses.iter()
    }

    /// How many places.
    pub fn len(&self) -> usize {
        self.hints.len()
    }

    /// Whether there is neither a place nor a loss.
    pub fn is_empty(&self) -> bool {
        self.hints.is_empty() && self.losses.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wider_scope_wins_whatever_the_order() {
        let at = |scope| {
            let mut set = HintSet::default();
            set.add(RelPath::ROOT, scope);
            set
        };
        let mut one = at(Scope::Entry);
        one.merge(at(Scope::Subtree));
        let mut other = at(Scope::Subtree);
        other.merge(at(Scope::Entry));
        assert_eq!(one, other);
        assert_eq!(one.hints().next(), Some((&RelPath::ROOT, Scope::Subtree)));
    }
}
