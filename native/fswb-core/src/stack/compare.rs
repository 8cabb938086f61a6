//! What differs between two stacks.

use std::collections::HashMap;
use std::sync::Arc;

use super::Stack;
use crate::baseline::Cursor;
use crate::change::{Change, ChangeKind, Why};
use crate::entry::{Entry, Kind};
use crate::path::RelPath;

/// The changes that lead from the tree of `one` to that of `other`, sorted by path: of what is added or replaced every
/// entry, of what is gone the topmost. The root itself is compared by mode, owner and attributes only. Both need digests.
pub fn differences(one: &Stack, other: &Stack) -> Vec<Change> {
    let mut comparison = Comparison {
        one,
        other,
        partitions: HashMap::new(),
    };
    let mut changes = Vec::new();
    let mut rest = vec![Pair {
        path: RelPath::ROOT,
        before: Some(one.tree.root()),
        after: Some(other.tree.root()),
    }];
    while let Some(pair) = rest.pop() {
        changes.extend(comparison.compare(&pair));
        // The last one pushed comes next.
        rest.extend(below(&pair).into_iter().rev());
    }
    changes
}

struct Pair<'a> {
    path: RelPath,
    before: Option<Cursor<'a>>,
    after: Option<Cursor<'a>>,
}

/// The entries of a directory that is there after, and of both if it was there before. What is gone is not entered.
fn below<'a>(pair: &Pair<'a>) -> Vec<Pair<'a>> {
    let is_directory = |at: &Cursor<'a>| at.kind() == Kind::Directory;
    let Some(after) = pair.after.filter(is_directory) else {
        return Vec::new();
    };
    let before = pair.before.filter(is_directory);
    let mut before = before
        .map(Cursor::children)
        .unwrap_or_default()
        .into_iter()
        .peekable();
    let mut pairs = Vec::new();
    let mut add = |name: &[u8], before, after| {
        // A name that is recorded is clean.
        if let Ok(path) = pair.path.join(name) {
            pairs.push(Pair {
                path,
                before,
                after,
            });
        }
    };
    for (name, now) in after.children() {
        while let Some((gone, known)) = before.next_if(|(known, _)| *known < name) {
            add(gone, Some(known), None);
        }
        let known = before.next_if(|(known, _)| *known == name);
        add(name, known.map(|(_, known)| known), Some(now));
    }
    for (gone, known) in before {
        add(gone, Some(known), None);
    }
    pairs
}

struct Comparison<'a> {
    one: &'a Stack,
    other: &'a Stack,
    /// Whether two inodes, one of each stack, have the same names.
    partitions: HashMap<(u64, u64), bool>,
}

impl Comparison<'_> {
    fn compare(&mut self, pair: &Pair<'_>) -> Option<Change> {
        let before = pair.before.map(Cursor::entry);
        let after = pair.after.map(Cursor::entry);
        let (kind, why) = match (&before, &after) {
            (None, None) => return None,
            (None, Some(_)) => (ChangeKind::Added, Why::empty()),
            (Some(_), None) => (ChangeKind::Deleted, Why::empty()),
            (Some(before), Some(after)) if before.kind != after.kind => {
                (ChangeKind::Replaced, Why::empty())
            }
            (Some(before), Some(after)) => {
                let mut why = Why::between(before, after);
                if pair.path.is_root() {
                    why &= Why::MODE | Why::UID | Why::GID | Why::XATTRS;
                }
                let content = (before.size, before.sha256) != (after.size, after.sha256);
                why.set(Why::CONTENT, content);
                why.set(Why::LINKS, self.is_shared_otherwise(before, after));
                if why.is_empty() {
                    return None;
                }
                (ChangeKind::Modified, why)
            }
        };
        Some(Change {
            path: pair.path.clone(),
            kind,
            why,
            before: before.map(Arc::new),
            after: after.map(Arc::new),
        })
    }

    fn is_shared_otherwise(&mut self, before: &Entry, after: &Entry) -> bool {
        if !before.is_shared() && !after.is_shared() {
            return false;
        }
        let (one, other) = (self.one, self.other);
        let same = self.partitions.entry((before.ino, after.ino));
        !*same.or_insert_with(|| {
            one.tree.names_of_inode(before.inode()) == other.tree.names_of_inode(after.inode())
        })
    }
}
