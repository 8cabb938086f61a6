//! A place in a baseline: base and delta seen as one tree.

use std::iter::Peekable;

use super::Baseline;
use super::delta::{ROOT, State};
use super::mapped::Mapped;
use crate::entry::{Entry, Kind};

/// Which of the two tells what an entry is.
#[derive(Debug, Clone, Copy)]
enum Record<'a> {
    Delta(&'a Entry),
    Base(&'a Mapped, u32),
}

/// One recorded entry. Cheap to copy; moves down without looking at paths.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a> {
    baseline: &'a Baseline,
    record: Record<'a>,
    /// Its node in the delta.
    over: Option<u32>,
    /// Its node in the base, unless that is hidden.
    under: Option<u32>,
}

impl<'a> Cursor<'a> {
    pub(super) fn root(baseline: &'a Baseline) -> Self {
        Self {
            baseline,
            record: Record::Delta(&baseline.root),
            over: Some(ROOT),
            under: baseline.base.as_ref().map(|_| 0),
        }
    }

    /// The entry there; `None` where the delta says it is gone.
    fn visible(baseline: &'a Baseline, over: Option<u32>, under: Option<u32>) -> Option<Self> {
        let state = over.map_or(&State::Through, |over| &baseline.delta.node(over).state);
        let record = match state {
            State::Through => Record::Base(baseline.base.as_deref()?, under?),
            State::Present(entry) => Record::Delta(entry),
            State::Absent => return None,
        };
        Some(Self {
            baseline,
            record,
            over,
            under,
        })
    }

    /// The entry.
    pub fn entry(self) -> Entry {
        match self.record {
            Record::Delta(entry) => entry.clone(),
            Record::Base(base, node) => base.entry(node),
        }
    }

    /// What it is.
    pub fn kind(self) -> Kind {
        match self.record {
            Record::Delta(entry) => entry.kind,
            Record::Base(base, node) => base.kind(node),
        }
    }

    /// The device it is on.
    pub fn device(self) -> u64 {
        match self.record {
            Record::Delta(entry) => entry.dev,
            Record::Base(base, node) => base.device(node),
        }
    }

    /// Its node in the base where the delta has nothing to say about it.
    pub(super) fn base_node(self) -> Option<u32> {
        match self.record {
            Record::Delta(_) => None,
            Record::Base(_, node) => Some(node),
        }
    }

    /// The base's node, if what is below that is visible here.
    fn base_directory(self) -> Option<u32> {
        let hides = self
            .over
            .is_some_and(|over| self.baseline.delta.node(over).hides);
        self.under
            .filter(|_| !hides && self.kind() == Kind::Directory)
    }

    pub(super) fn has_base(self) -> bool {
        self.under.is_some()
    }

    /// The child of that name.
    pub fn child(self, name: &[u8]) -> Option<Self> {
        let over = self
            .over
            .and_then(|over| self.baseline.delta.node(over).children.get(name).copied());
        let under = match (&self.baseline.base, self.base_directory()) {
            (Some(base), Some(directory)) => base.child(directory, name),
            _ => None,
        };
        Self::visible(self.baseline, over, under)
    }

    /// All children, sorted by name.
    pub fn children(self) -> Vec<(&'a [u8], Self)> {
        let base = self.baseline.base.as_ref().zip(self.base_directory());
        let under = base.into_iter().flat_map(|(base, directory)| {
            base.children(directory).map(|node| (base.name(node), node))
        });
        self.merge(under)
    }

    /// The children that are directories, sorted by name. Does not read the others where the base has them.
    pub fn subdirectories(self) -> Vec<(&'a [u8], Self)> {
        let base = self.baseline.base.as_ref().zip(self.base_directory());
        let under = base
            .into_iter()
            .flat_map(|(base, directory)| base.subdirectories(directory));
        let mut merged = self.merge(under);
        merged.retain(|(_, child)| child.kind() == Kind::Directory);
        merged
    }

    fn merge(self, under: impl Iterator<Item = (&'a [u8], u32)>) -> Vec<(&'a [u8], Self)> {
        let mut over = self
            .over
            .into_iter()
            .flat_map(|over| &self.baseline.delta.node(over).children)
            .map(|(name, &node)| (name.as_ref(), node))
            .peekable();
        let mut merged = Vec::new();
        let mut add = |name: &'a [u8], over, under| {
            if let Some(child) = Self::visible(self.baseline, over, under) {
                merged.push((name, child));
            }
        };
        for (name, node) in under {
            while let Some((above, extra)) = next_before(&mut over, name) {
                add(above, Some(extra), None);
            }
            let covered = over.next_if(|(above, _)| *above == name);
            add(name, covered.map(|(_, node)| node), Some(node));
        }
        for (name, node) in over {
            add(name, Some(node), None);
        }
        merged
    }

    /// Entries and directories below.
    pub(super) fn below(self) -> (usize, usize) {
        let delta = &self.baseline.delta;
        let base_below = |node: Option<u32>| match (&self.baseline.base, node) {
            (Some(base), Some(node)) => base.below(node),
            _ => (0, 0),
        };
        let (mut entries, mut directories) = base_below(self.base_directory());
        // Only what the delta holds is walked: what it adds, less what it covers.
        let mut rest = vec![(self.over, self.base_directory())];
        while let Some((over, directory)) = rest.pop() {
            let Some(over) = over else { continue };
            for (name, &child) in &delta.node(over).children {
                let under = match (&self.baseline.base, directory) {
                    (Some(base), Some(directory)) => base.child(directory, name),
                    _ => None,
                };
                if let (Some(base), Some(under)) = (&self.baseline.base, under) {
                    let (below, inner) = base.below(under);
                    entries -= 1 + below;
                    directories -= inner + usize::from(base.kind(under) == Kind::Directory);
                }
                if let Some(seen) = Self::visible(self.baseline, Some(child), under) {
                    let visible = seen.base_directory();
                    let (below, inner) = base_below(visible);
                    entries += 1 + below;
                    directories += inner + usize::from(seen.kind() == Kind::Directory);
                    rest.push((Some(child), visible));
                }
            }
        }
        (entries, directories)
    }
}

fn next_before<'a>(
    over: &mut Peekable<impl Iterator<Item = (&'a [u8], u32)>>,
    name: &[u8],
) -> Option<(&'a [u8], u32)> {
    over.next_if(|(above, _)| *above < name)
}
