//! The differences between two listings.

use super::reader::{Children, Node, read};
use super::record::Aspect;
use crate::error::Result;

/// A path of which something differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// As the source was spelled, and below it.
    pub path: Vec<u8>,
    /// What differs, at least one.
    pub what: Vec<Aspect>,
}

/// The differences between two listings, by path: the first `most` of them, and how many there are.
///
/// What was cut off in one of the two counts as one. An error if a listing has not the form that [`Listing`] gives it.
pub fn differences(before: &[u8], after: &[u8], most: usize) -> Result<(Vec<Difference>, usize)> {
    let mut found = Found {
        most,
        first: Vec::new(),
        count: 0,
    };
    compare(&read(before)?, &read(after)?, &[], &mut found);
    Ok((found.first, found.count))
}

struct Found {
    most: usize,
    first: Vec<Difference>,
    count: usize,
}

impl Found {
    fn add(&mut self, path: &[u8], what: Vec<Aspect>) {
        self.count += 1;
        if self.first.len() < self.most {
            self.first.push(Difference {
                path: path.to_vec(),
                what,
            });
        }
    }
}

fn compare(before: &Children, after: &Children, above: &[u8], found: &mut Found) {
    let mut names: Vec<&Vec<u8>> = before.keys().chain(after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let path = [above, name].concat();
        match (before.get(name), after.get(name)) {
            (Some(_), None) => found.add(&path, vec![Aspect::Removed]),
            (None, Some(_)) => found.add(&path, vec![Aspect::Added]),
            (Some(old), Some(new)) => compare_nodes(old, new, &path, found),
            (None, None) => {}
        }
    }
}

fn compare_nodes(old: &Node, new: &Node, path: &[u8], found: &mut Found) {
    let mut what = old.record.differs(&new.record);
    let changed_below = old.below != new.below && !what.contains(&Aspect::Kind);
    match (&old.children, &new.children) {
        (Some(before), Some(after)) if changed_below => {
            if !what.is_empty() {
                found.add(path, what);
            }
            let above = if path.is_empty() {
                Vec::new()
            } else {
                [path, b"/"].concat()
            };
            compare(before, after, &above, found);
        }
        _ => {
            if changed_below {
                what.push(Aspect::Below);
            }
            if !what.is_empty() {
                found.add(path, what);
            }
        }
    }
}
