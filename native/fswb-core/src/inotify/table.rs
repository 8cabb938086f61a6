//! Which directory a watch descriptor stands for, and which parts of the tree have none.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::hint::LossReason;
use crate::path::RelPath;

/// Watch descriptors by directory and directories by watch descriptor.
///
/// Invariant: the two maps are inverse to each other. A path is stored once and shared.
#[derive(Debug, Default)]
pub(super) struct Table {
    by_wd: HashMap<i32, Arc<RelPath>>,
    by_path: BTreeMap<Arc<RelPath>, i32>,
}

impl Table {
    pub(super) fn path(&self, wd: i32) -> Option<&Arc<RelPath>> {
        self.by_wd.get(&wd)
    }

    pub(super) fn has_watch(&self, wd: i32) -> bool {
        self.by_wd.contains_key(&wd)
    }

    pub(super) fn has_path(&self, path: &RelPath) -> bool {
        self.by_path.contains_key(path)
    }

    pub(super) fn len(&self) -> usize {
        self.by_wd.len()
    }

    /// Records that `wd` watches `path`, wherever it was before: the kernel returns the old descriptor for an inode
    /// that is watched already. Returns the descriptor that `path` had, if that was another one.
    pub(super) fn set(&mut self, path: Arc<RelPath>, wd: i32) -> Option<i32> {
        if let Some(before) = self.by_wd.insert(wd, path.clone()) {
            self.by_path.remove(&before);
        }
        let displaced = self.by_path.insert(path, wd)?;
        self.by_wd.remove(&displaced);
        Some(displaced)
    }

    /// Records many at once, sorted by path. Returns the directories that are another name of a later one, which a bind
    /// mount makes: they share its descriptor, so events cannot tell them apart.
    pub(super) fn extend(&mut self, watched: Vec<(Arc<RelPath>, i32)>) -> Vec<Arc<RelPath>> {
        self.by_wd.reserve(watched.len());
        let twins: Vec<_> = watched
            .iter()
            .filter_map(|(path, wd)| self.by_wd.insert(*wd, path.clone()))
            .collect();
        // Collected first: a map built from a sorted list takes a quarter of the time of inserting one by one.
        self.by_path.append(&mut watched.into_iter().collect());
        for twin in &twins {
            self.by_path.remove(twin);
        }
        twins
    }

    /// Forgets a descriptor; returns the directory it stood for.
    pub(super) fn forget(&mut self, wd: i32) -> Option<Arc<RelPath>> {
        let path = self.by_wd.remove(&wd)?;
        self.by_path.remove(&path);
        Some(path)
    }

    /// Forgets `directory` and all below it; returns the descriptors they had.
    pub(super) fn take_within(&mut self, directory: &RelPath) -> Vec<i32> {
        let within: Vec<i32> = self
            .by_path
            .range::<RelPath, _>(directory..)
            .take_while(|(path, _)| path.is_within(directory))
            .map(|(_, &wd)| wd)
            .collect();
        for &wd in &within {
            self.forget(wd);
        }
        within
    }
}

/// The topmost directories that are not watched, and why. Nothing that happens in or below them is reported.
///
/// Invariant: none is within another.
#[derive(Debug, Default)]
pub(super) struct Unwatched(BTreeMap<RelPath, LossReason>);

impl Unwatched {
    pub(super) fn add(&mut self, directory: &RelPath, reason: LossReason) {
        if !self.covers(directory) {
            self.remove_within(directory);
            self.0.insert(directory.clone(), reason);
        }
    }

    /// Whether `path` is one of them or below one.
    pub(super) fn covers(&self, path: &RelPath) -> bool {
        !self.0.is_empty()
            && (self.0.contains_key(path)
                || path.ancestors().any(|above| self.0.contains_key(&above)))
    }

    pub(super) fn remove_within(&mut self, directory: &RelPath) {
        self.0.retain(|path, _| !path.is_within(directory));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&RelPath, LossReason)> {
        self.0.iter().map(|(path, &reason)| (path, reason))
    }

    /// The first of those that there was no watch left for. (To watch a second path of a directory is to lose the first.)
    pub(super) fn first_for_want_of_watches(&self) -> Option<&RelPath> {
        let mut wanting = self
            .iter()
            .filter(|&(_, why)| why == LossReason::WatchLimit);
        wanting.next().map(|(path, _)| path)
    }

    /// Takes those that there was no watch left for.
    pub(super) fn take_for_want_of_watches(&mut self) -> Self {
        let all = std::mem::take(&mut self.0);
        let (wanting, rest) = all
            .into_iter()
            .partition(|(_, why)| *why == LossReason::WatchLimit);
        self.0 = rest;
        Self(wanting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    fn set(table: &mut Table, text: &str, wd: i32) -> Option<i32> {
        table.set(Arc::new(path(text)), wd)
    }

    #[test]
    fn a_watch_found_again_elsewhere_leaves_its_old_place() {
        let mut table = Table::default();
        assert_eq!(set(&mut table, "old", 1), None);
        assert_eq!(set(&mut table, "new", 1), None);
        assert!(!table.has_path(&path("old")));
        assert_eq!(**table.path(1).unwrap(), path("new"));
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn two_directories_that_traded_places_keep_both_watches() {
        let mut table = Table::default();
        set(&mut table, "a", 1);
        set(&mut table, "b", 2);
        assert_eq!(set(&mut table, "a", 2), Some(1));
        assert_eq!(set(&mut table, "b", 1), None);
        assert_eq!(**table.path(1).unwrap(), path("b"));
        assert_eq!(**table.path(2).unwrap(), path("a"));
    }

    #[test]
    fn of_two_names_for_one_directory_the_later_is_kept_and_the_other_told() {
        let mut table = Table::default();
        let pairs = [("a", 1), ("b", 2), ("c", 1)].map(|(text, wd)| (Arc::new(path(text)), wd));
        assert_eq!(table.extend(pairs.to_vec()), [Arc::new(path("a"))]);
        assert!(!table.has_path(&path("a")));
        assert_eq!(**table.path(1).unwrap(), path("c"));
        assert_eq!(table.take_within(&RelPath::ROOT), [2, 1]);
    }

    #[test]
    fn a_subtree_ends_where_a_name_merely_begins_alike() {
        let mut table = Table::default();
        for (text, wd) in [("a", 1), ("a/b", 2), ("a/b/c", 3), ("a-b", 4), ("a.d", 5)] {
            set(&mut table, text, wd);
        }
        assert_eq!(table.take_within(&path("a")), [1, 2, 3]);
        assert_eq!(table.len(), 2);
    }

    #[test]
    fn only_the_topmost_unwatched_directory_is_kept() {
        let mut unwatched = Unwatched::default();
        for text in ["a/b", "a/b/c", "a", "a-b"] {
            unwatched.add(&path(text), LossReason::WatchLimit);
        }
        let kept: Vec<_> = unwatched.iter().map(|(path, _)| path.clone()).collect();
        assert_eq!(kept, [path("a"), path("a-b")]);
        assert!(unwatched.covers(&path("a/x/y")));
        assert!(!unwatched.covers(&path("b")));
    }

    #[test]
    fn only_what_lacks_a_watch_is_tried_again() {
        let mut unwatched = Unwatched::default();
        unwatched.add(&path("a"), LossReason::SharedWatch);
        unwatched.add(&path("b"), LossReason::WatchLimit);
        assert_eq!(unwatched.first_for_want_of_watches(), Some(&path("b")));
        let wanting = unwatched.take_for_want_of_watches();
        assert!(wanting.covers(&path("b")) && !wanting.covers(&path("a")));
        assert!(unwatched.covers(&path("a")) && !unwatched.covers(&path("b")));
        assert_eq!(unwatched.first_for_want_of_watches(), None);
    }
}
