//! The baseline of a tree that is there already, rather than unpacked by us.

use super::{HashMode, reconcile};
use crate::baseline::Baseline;
use crate::change::ChangeSet;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::hint::{HintSet, Scope};
use crate::path::RelPath;
use crate::root::Root;
use crate::witness::Links;

/// Records everything below `root`, with the digest of every file unless `digests` is false; and says what it took, with
/// the sockets that were left out. At most `threads` threads work.
///
/// Each inode is stat'ed before it is read, so a file written to in between is found touched by the next comparison.
pub fn record(root: &Root, digests: bool, threads: usize) -> Result<(Baseline, ChangeSet)> {
    // Before the first stat: see `Clock`.
    let clock = Clock::of(root)?;
    let entry = root.entry(&RelPath::ROOT)?;
    let mut entry = entry.ok_or_else(|| Error::refused(root.path(), "not a directory"))?;
    entry.racy = clock.is_racy(&entry);
    let mut baseline = Baseline::empty(entry);
    let mut everywhere = HintSet::default();
    everywhere.add(RelPath::ROOT, Scope::Subtree);
    let mode = if digests {
        HashMode::Record
    } else {
        HashMode::Never
    };
    let mut found = reconcile(
        root,
        &baseline,
        &everywhere,
        &[],
        mode,
        threads,
        Links::AtMost(0),
    )?;
    baseline.apply(&found)?;
    found.changes = Vec::new();
    found.refreshed = Vec::new();
    Ok((baseline, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_recorded_with_its_digests_and_nothing_differs_from_it() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("d")).unwrap();
        std::fs::write(directory.path().join("d/f"), b"content").unwrap();
        let root = Root::open(directory.path().as_os_str().as_encoded_bytes()).unwrap();
        let (baseline, found) = record(&root, true, 2).unwrap();
        assert_eq!((baseline.len(), found.effort.hashed_files), (2, 1));
        let entry = baseline.entry(&RelPath::new("d/f").unwrap()).unwrap();
        assert!(entry.sha256.is_some());
        let mut everywhere = HintSet::default();
        everywhere.add(RelPath::ROOT, Scope::Subtree);
        let again = reconcile(
            &root,
            &baseline,
            &everywhere,
            &[],
            HashMode::All,
            1,
            Links::AtMost(0),
        )
        .unwrap();
        assert!(again.changes.is_empty());
    }

    #[test]
    fn without_digests_no_file_is_read() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("f"), b"content").unwrap();
        let root = Root::open(directory.path().as_os_str().as_encoded_bytes()).unwrap();
        let (baseline, found) = record(&root, false, 2).unwrap();
        assert_eq!((baseline.len(), found.effort.hashed_files), (1, 0));
        let entry = baseline.entry(&RelPath::new("f").unwrap()).unwrap();
        assert!(entry.sha256.is_none());
    }
}
