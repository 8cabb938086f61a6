//! Compares the places that hints name with the baseline: what differs is the change set.
//!
//! The hints are walked down from the root in one pass (`walk`), so that every directory above a hint is verified once;
//! each entry on the way is looked at (`look`) and leaves an observation. Hard links then pull in the other names of what
//! was touched until nothing new appears, and are judged as groups (`links`). Nothing here knows who made the hints: a
//! full scan is the hint (root, subtree).

mod links;
mod look;
mod names;
mod places;
mod queue;
mod record;
mod walk;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use look::Observation;
use places::Places;
pub use record::record;
use walk::Walk;

use crate::baseline::Baseline;
use crate::change::{Change, ChangeKind, ChangeSet, Why};
use crate::clocks::Clocks;
use crate::error::{Error, Result};
use crate::hint::{HintSet, Loss, LossReason, Scope};
use crate::path::RelPath;
use crate::root::Root;
use crate::witness::Links;

/// When the content of a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashMode {
    /// Where stat evidence does not prove that the inode is untouched, or a hint names the file itself, and the size is the
    /// same. If the baseline has no digest to compare with, a file counts as changed if stat shows that it was touched. A
    /// new size is a change without reading.
    Evidence,
    /// Every file looked at that has the same size as before, whatever the evidence says.
    All,
    /// Never: a file of the same size and times counts as unchanged. Lossy.
    Never,
    /// As `All`, and files that are new too: to record a tree that nobody unpacked.
    Record,
}

/// What was seen, by path. Later looks at a path replace earlier ones.
type Found = BTreeMap<RelPath, Observation>;

/// Compares the hinted places of `root` with `baseline`.
///
/// `listed` paths are in the result even if nothing about them differs; one that is not on disk is an error. Losses among
/// `hints` must have been widened to hints before: they are not looked at here. At most `threads` threads work.
///
/// `made`: how many hard links may have been made, if the hints do not cover what was done through one that is gone again.
/// Unless so many are found, everything is looked at.
pub fn reconcile(
    root: &Root,
    baseline: &Baseline,
    hints: &HintSet,
    listed: &[RelPath],
    mode: HashMode,
    threads: usize,
    made: Links,
) -> Result<ChangeSet> {
    // Before the first stat.
    let clocks = Clocks::of(root)?;
    let mut walk = Walk::new(root, baseline, clocks, mode, threads);
    let mut places = Places::default();
    for (path, scope) in hints.hints() {
        places.add(path.clone(), scope);
    }
    for path in listed {
        places.add(path.clone(), Scope::Entry);
    }
    let listed: BTreeSet<&RelPath> = listed.iter().filter(|path| !path.is_root()).collect();
    let mut scanned = places.is_whole();
    let mut losses = Vec::new();
    let mut found = Found::new();
    walk.look_at(places, &mut found)?;
    for &path in &listed {
        if found.get(path).is_none_or(|seen| seen.after.is_none()) {
            // An untouched entry leaves no observation unless it has several names.
            walk.observe(path, &mut found)?;
        }
    }
    let mut asked = BTreeSet::new();
    let mut searched = HashSet::new();
    while !scanned {
        let touched = links::touched(&found, &listed, walk.lost());
        let short = links::short_of_names(&found, &touched);
        let mut names = links::recorded_names(baseline, &touched);
        names.retain(|name| !found.contains_key(name) && asked.insert(name.clone()));
        let unsearched: HashSet<u64> = short.difference(&searched).copied().collect();
        if names.is_empty() && !unsearched.is_empty() {
            // Device numbers may be others than they were.
            names.extend(
                unsearched
                    .iter()
                    .flat_map(|&ino| baseline.names_with_ino(ino)),
            );
            names.retain(|name| !found.contains_key(name) && asked.insert(name.clone()));
            searched.extend(unsearched);
        }
        let mut places = Places::default();
        if !names.is_empty() {
            for name in names {
                places.add(name, Scope::Entry);
            }
        } else {
            let reason = match made {
                _ if !short.is_empty() => LossReason::MissingLinks,
                Links::Unknown => LossReason::UnseenLinks,
                Links::AtMost(made) if made > links::gained(&found, baseline, made) => {
                    LossReason::VanishedLinks
                }
                Links::AtMost(_) => break,
            };
            scanned = true;
            losses.push(Loss {
                reason,
                path: RelPath::ROOT,
            });
            places.add(RelPath::ROOT, Scope::Subtree);
        }
        walk.look_at(places, &mut found)?;
    }
    links::judge(&mut found, &listed);
    let mut result = assemble(found, &listed)?;
    (result.sockets, result.effort) = walk.finish();
    result.losses = losses;
    Ok(result)
}

fn assemble(found: Found, listed: &BTreeSet<&RelPath>) -> Result<ChangeSet> {
    let mut result = ChangeSet::default();
    for (path, seen) in found {
        let Observation {
            before,
            after,
            mut why,
            touched,
        } = seen;
        let is_listed = listed.contains(&path);
        if is_listed && after.is_none() {
            return Err(Error::refused(
                path,
                "it is to be in the layer, but it is not there",
            ));
        }
        let kind = match (&before, &after) {
            (None, None) => continue,
            (None, Some(_)) => ChangeKind::Added,
            (Some(_), None) => ChangeKind::Deleted,
            (Some(before), Some(after)) if before.kind != after.kind => ChangeKind::Replaced,
            (Some(_), Some(_)) => {
                if is_listed && why.is_empty() {
                    why = Why::LISTED;
                }
                if why.is_empty() {
                    if let Some(after) =
                        after.filter(|after| touched && before.as_ref() != Some(after))
                    {
                        result.refreshed.push((path, after));
                    }
                    continue;
                }
                ChangeKind::Modified
            }
        };
        result.changes.push(Change {
            path,
            kind,
            why,
            before,
            after,
        });
    }
    Ok(result)
}
