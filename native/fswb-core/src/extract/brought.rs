//! What a layer brought: whiteouts hide what lower layers have, never that.

use std::collections::BTreeSet;

use crate::baseline::Baseline;
use crate::path::RelPath;

/// What a layer brought so far and still has.
pub(super) enum Brought {
    /// All there is: nothing was there before. That is so for most bases, and their paths need not be kept.
    All,
    /// These paths.
    These(BTreeSet<RelPath>),
}

impl Brought {
    /// Nothing yet, over what is recorded.
    pub(super) fn over(baseline: &Baseline) -> Self {
        if baseline.is_empty() {
            Self::All
        } else {
            Self::These(BTreeSet::new())
        }
    }

    pub(super) fn add(&mut self, path: &RelPath) {
        if let Self::These(paths) = self {
            paths.insert(path.clone());
        }
    }

    /// A path is gone, with all below it.
    pub(super) fn remove(&mut self, path: &RelPath) {
        let Self::These(paths) = self else {
            return;
        };
        let below = paths
            .range(path.clone()..)
            .take_while(|known| known.is_within(path));
        for known in below.cloned().collect::<Vec<_>>() {
            paths.remove(&known);
        }
    }

    /// Whether it brought the path or something below it.
    pub(super) fn has_within(&self, path: &RelPath) -> bool {
        match self {
            Self::All => true,
            Self::These(paths) => {
                let next = paths.range(path.clone()..).next();
                next.is_some_and(|known| known.is_within(path))
            }
        }
    }
}
