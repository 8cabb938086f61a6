//! Where to look, in the order of paths.

use std::collections::BTreeMap;

use super::look::Care;
use crate::hint::Scope;
use crate::path::RelPath;

/// Where to look, sorted: what is below a directory is one run.
#[derive(Debug, Default)]
pub(super) struct Places(BTreeMap<RelPath, Scope>);

impl Places {
    pub(super) fn add(&mut self, path: RelPath, scope: Scope) {
        let known = self.0.entry(path).or_insert(scope);
        *known = scope.max(*known);
    }

    pub(super) fn into_sorted(self) -> Vec<Place> {
        self.0.into_iter().collect()
    }

    /// Whether everything is to be looked at.
    pub(super) fn is_whole(&self) -> bool {
        self.0.get(&RelPath::ROOT) == Some(&Scope::Subtree)
    }
}

/// A path and how far to look around it.
pub(super) type Place = (RelPath, Scope);

/// What to look at in a directory and below.
#[derive(Clone, Copy)]
pub(super) enum Todo<'a> {
    /// All of it, and closely at places that are named besides.
    Everything(&'a [Place]),
    /// Places at or below the directory.
    Places(&'a [Place]),
}

/// How closely to look at an entry, as `places` have it, which are sorted.
pub(super) fn care(path: &RelPath, places: &[Place]) -> Care {
    match places.binary_search_by(|(place, _)| place.cmp(path)) {
        Ok(_) => Care::Named,
        Err(_) => Care::Passing,
    }
}

/// Those of `places` at and below a path.
pub(super) fn within<'a>(path: &RelPath, places: &'a [Place]) -> &'a [Place] {
    let start = places.partition_point(|(place, _)| place < path);
    let from = &places[start..];
    &from[..from.partition_point(|(place, _)| place.is_within(path))]
}

/// What of `places` is to be done in and below a directory; `None` if nothing is.
pub(super) fn narrow<'a>(directory: &RelPath, places: &'a [Place]) -> Option<Todo<'a>> {
    let inside = within(directory, places);
    match inside {
        [] => None,
        [(path, scope), ..] if path == directory => match (scope, inside.len()) {
            (Scope::Subtree, _) => Some(Todo::Everything(&inside[1..])),
            (Scope::Entry, 1) => None,
            _ => Some(Todo::Places(inside)),
        },
        _ => Some(Todo::Places(inside)),
    }
}

/// Whether all children of a directory are to be looked at.
pub(super) fn is_children(directory: &RelPath, places: &[Place]) -> bool {
    matches!(places, [(path, Scope::Children), ..] if path == directory)
}
