//! Hard links: the other names of what was touched, and the judgement over groups of names.
//!
//! A group is a set of names that share one inode. The rules, which go by the two states and not by inode numbers:
//!
//! - A group that gained a name is listed whole. So is one whose content or metadata changed.
//! - A group that only lost names is not listed: a whiteout for each lost name says it all.
//! - If a recorded group is now several, one of them may stay unlisted: one that neither gained nor changed; among
//!   several such the one that holds the first name. The others are listed whole.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::Found;
use super::look::Observation;
use crate::baseline::Baseline;
use crate::change::Why;
use crate::entry::{Entry, Inode, Kind};
use crate::path::RelPath;

/// The shared inodes on disk and in the baseline that something happened to, or that are listed.
#[derive(Debug, Default)]
pub(super) struct Touched {
    before: HashSet<Inode>,
    after: HashSet<Inode>,
}

/// Gathers the shared inodes whose other names matter. `lost`: those that had a name below something that is gone.
pub(super) fn touched(
    found: &Found,
    listed: &BTreeSet<&RelPath>,
    lost: &HashSet<Inode>,
) -> Touched {
    let mut touched = Touched {
        before: lost.clone(),
        after: HashSet::new(),
    };
    for (path, seen) in found {
        if !seen.touched && !listed.contains(path) {
            continue;
        }
        let before = seen.before.as_deref().filter(|entry| entry.is_shared());
        touched.before.extend(before.map(Entry::inode));
        let after = seen.after.as_deref().filter(|entry| entry.is_shared());
        touched.after.extend(after.map(Entry::inode));
    }
    touched
}

/// All recorded names of the touched inodes.
pub(super) fn recorded_names(baseline: &Baseline, touched: &Touched) -> BTreeSet<RelPath> {
    let inodes = touched.before.union(&touched.after);
    inodes
        .flat_map(|&inode| baseline.names_of_inode(inode))
        .collect()
}

/// Inode numbers of touched inodes that have more names on disk than were found.
pub(super) fn short_of_names(found: &Found, touched: &Touched) -> HashSet<u64> {
    let mut names: HashMap<Inode, u32> = HashMap::new();
    let mut links: HashMap<Inode, u32> = HashMap::new();
    let present = found.values().filter_map(|seen| seen.after.as_deref());
    for entry in present.filter(|entry| touched.after.contains(&entry.inode())) {
        *names.entry(entry.inode()).or_default() += 1;
        links.insert(entry.inode(), entry.nlink);
    }
    let short = links
        .into_iter()
        .filter(|(inode, links)| names[inode] < *links);
    short.map(|((_, ino), _)| ino).collect()
}

/// How many hard links were certainly made, each of an inode that has lost no name since: the links that the inodes found
/// have now and had not. `made`: how many were made at most.
///
/// If this is `made`, no link is gone. For each inode, links now - links before = made - removed. Summed up over the inodes
/// that have more now, the left side is `made`; so no link was made of any other inode, and none of these was removed. It
/// takes the number before for no smaller than it was: 1 for an inode that is new, and whatever the baseline has under
/// its number, though that may be another inode by now.
pub(super) fn gained(found: &Found, baseline: &Baseline, made: u64) -> u64 {
    if made == 0 {
        return 0;
    }
    let present = found.values().filter_map(|seen| seen.after.as_deref());
    let shared = present.filter(|entry| entry.is_shared());
    let now: HashMap<Inode, u32> = shared.map(|entry| (entry.inode(), entry.nlink)).collect();
    let before = |ino| {
        let names = baseline.names_with_ino(ino);
        let entries = names.iter().filter_map(|name| baseline.entry(name));
        let links = entries.filter(|entry| entry.kind != Kind::Directory);
        links.map(|entry| entry.nlink).max().unwrap_or(1).max(1)
    };
    now.into_iter()
        .map(|((_, ino), links)| u64::from(links.saturating_sub(before(ino))))
        .sum()
}

/// What a name was part of before.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Origin {
    Shared(Inode),
    Alone(RelPath),
}

/// Names that share an inode now.
#[derive(Debug, Default)]
struct Group {
    names: Vec<RelPath>,
    /// The recorded groups its names come from; `None` stands for names that are new or of another kind.
    origins: HashSet<Option<Origin>>,
    /// Everything that differs for any of its names.
    why: Why,
}

impl Group {
    fn gained(&self) -> bool {
        self.origins.len() > 1 || (self.origins.contains(&None) && self.names.len() > 1)
    }
}

/// Sets what the rules above say: [`Why::LINKS`], and for names listed for the sake of another the reason of that one.
pub(super) fn judge(found: &mut Found, listed: &BTreeSet<&RelPath>) {
    let groups = groups(found);
    let is_listed = |group: &Group| group.names.iter().any(|name| listed.contains(name));
    let mut parts: HashMap<&Origin, Vec<usize>> = HashMap::new();
    for (index, group) in groups.iter().enumerate() {
        for origin in group.origins.iter().flatten() {
            parts.entry(origin).or_default().push(index);
        }
    }
    let mut split: HashSet<usize> = HashSet::new();
    for indexes in parts.values().filter(|indexes| indexes.len() > 1) {
        // Groups are in the order of their first names.
        let kept = indexes.iter().find(|&&index| {
            !groups[index].gained() && groups[index].why.is_empty() && !is_listed(&groups[index])
        });
        split.extend(indexes.iter().filter(|&index| Some(index) != kept).copied());
    }
    for (index, group) in groups.iter().enumerate() {
        let links = if group.gained() || split.contains(&index) {
            Why::LINKS
        } else {
            Why::empty()
        };
        let is_listed = is_listed(group);
        for name in &group.names {
            let Some(seen) = found.get_mut(name).filter(|seen| is_comparable(seen)) else {
                continue;
            };
            seen.why |= links;
            if seen.why.is_empty() {
                seen.why = group.why;
            }
            if seen.why.is_empty() && is_listed {
                seen.why = Why::LISTED;
            }
        }
    }
}

/// All groups that are shared, or were, in the order of their first names.
fn groups(found: &Found) -> Vec<Group> {
    let mut by_inode: HashMap<Inode, usize> = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for (path, seen) in found {
        let Some(after) = &seen.after else { continue };
        let before = seen.before.as_deref().filter(|_| is_comparable(seen));
        let was_shared = before.is_some_and(Entry::is_shared);
        if !after.is_shared() && !was_shared {
            continue;
        }
        let index = if after.is_shared() {
            *by_inode.entry(after.inode()).or_insert(groups.len())
        } else {
            groups.len()
        };
        if index == groups.len() {
            groups.push(Group::default());
        }
        let group = &mut groups[index];
        group.names.push(path.clone());
        group.why |= seen.why;
        group.origins.insert(before.map(|before| {
            if was_shared {
                Origin::Shared(before.inode())
            } else {
                Origin::Alone(path.clone())
            }
        }));
    }
    groups
}

/// Whether the name was there before as the same kind of thing.
fn is_comparable(seen: &Observation) -> bool {
    let kind = |entry: &Option<Arc<Entry>>| entry.as_ref().map(|entry| entry.kind);
    seen.before.is_some() && kind(&seen.before) == kind(&seen.after)
}
