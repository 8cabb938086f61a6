//! Real directories, real events. The question is always the same: do the hints cover all that changed?

mod changes;
mod heat;
mod limits;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::inotify::{self, CreateFlags};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::baseline::Baseline;
use crate::change::{Change, ChangeKind, ChangeSet, Why};
use crate::entry::{Entry, Kind};
use crate::hint::{HintSet, Loss, LossReason, Scope};
use crate::inotify::Watches;
use crate::path::RelPath;
use crate::root::Root;

struct Tree {
    directory: tempfile::TempDir,
    root: Arc<Root>,
    baseline: Baseline,
    watches: Watches,
    /// The owner's descriptor.
    inotify: OwnedFd,
}

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

/// A tree with a handful of directories and files, armed.
fn tree() -> Tree {
    tree_with(None, |at| {
        for name in ["a/b/c", "d/e", "x", "y"] {
            fs::create_dir_all(at.join(name)).unwrap();
        }
        for name in ["f", "a/f", "a/b/f", "a/b/c/f", "d/f", "x/f"] {
            fs::write(at.join(name), name).unwrap();
        }
        fs::hard_link(at.join("d/f"), at.join("x/link")).unwrap();
    })
}

fn tree_with(budget: Option<usize>, fill: impl FnOnce(&Path)) -> Tree {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path());
    let root = Arc::new(Root::open(directory.path().as_os_str().as_bytes()).unwrap());
    let baseline = snapshot(&root, directory.path());
    let inotify = inotify::init(CreateFlags::CLOEXEC).unwrap();
    let watches = Watches::new(inotify.as_fd()).unwrap();
    watches.arm(root.clone(), &baseline, budget).unwrap();
    Tree {
        directory,
        root,
        baseline,
        watches,
        inotify,
    }
}

fn snapshot(root: &Root, at: &Path) -> Baseline {
    let entry = root.entry(&RelPath::ROOT).unwrap().unwrap();
    let mut baseline = Baseline::empty(entry);
    record(root, at, &RelPath::ROOT, &mut baseline);
    baseline
}

fn record(root: &Root, at: &Path, directory: &RelPath, baseline: &mut Baseline) {
    let here = at.join(OsStr::from_bytes(directory.as_bytes()));
    for item in fs::read_dir(here).unwrap() {
        let path = directory
            .join(item.unwrap().file_name().as_bytes())
            .unwrap();
        let entry = root.entry(&path).unwrap().unwrap();
        let kind = entry.kind;
        baseline.put(&path, entry).unwrap();
        if kind == Kind::Directory {
            record(root, at, &path, baseline);
        }
    }
}

fn paths(baseline: &Baseline) -> BTreeSet<RelPath> {
    let mut all = BTreeSet::from([RelPath::ROOT]);
    for directory in baseline.directories() {
        for name in baseline.children(&directory) {
            all.insert(directory.join(&name).unwrap());
        }
    }
    all
}

/// The same as far as a layer can tell.
fn same(before: &Entry, after: &Entry) -> bool {
    let key = |e: &Entry| {
        (
            e.kind,
            e.mode,
            e.uid,
            e.gid,
            e.size,
            e.mtime_ns,
            e.target.clone(),
        )
    };
    key(before) == key(after)
}

/// What differs between two snapshots, as reconcile would say it.
fn differences(before: &Baseline, after: &Baseline) -> ChangeSet {
    let mut set = ChangeSet::default();
    let both: BTreeSet<_> = paths(before).union(&paths(after)).cloned().collect();
    for path in both {
        let gone = |change: &Change| {
            change
                .before
                .as_ref()
                .is_some_and(|e| e.kind == Kind::Directory)
                && change
                    .after
                    .as_ref()
                    .is_none_or(|e| e.kind != Kind::Directory)
                && path.is_within(&change.path)
        };
        if set.changes.iter().any(gone) {
            continue;
        }
        let (old, new) = (before.entry(&path), after.entry(&path));
        let kind = match (&old, &new) {
            (None, _) => ChangeKind::Added,
            (_, None) => ChangeKind::Deleted,
            (Some(old), Some(new)) if old.kind != new.kind => ChangeKind::Replaced,
            (Some(old), Some(new)) if !same(old, new) => ChangeKind::Modified,
            (Some(old), Some(new)) => {
                if !old.is_untouched(new) {
                    set.refreshed.push((path, Arc::new(new.clone())));
                }
                continue;
            }
        };
        set.changes.push(Change {
            path,
            kind,
            why: Why::empty(),
            before: old.map(Arc::new),
            after: new.map(Arc::new),
        });
    }
    set
}

impl Tree {
    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn settle(&self) -> HintSet {
        self.watches.settle().unwrap()
    }

    /// Ends a step: what changed must be covered, and the watches must fit the new baseline.
    fn step(&mut self) -> HintSet {
        let hints = self.settle();
        let now = snapshot(&self.root, self.directory.path());
        let changes = differences(&self.baseline, &now);
        for change in &changes.changes {
            assert!(
                covers(&hints, &self.baseline, &now, &change.path),
                "{:?} {:?} is not covered by {hints:?}",
                change.kind,
                change.path
            );
        }
        self.baseline = now;
        self.watches.advance(&self.baseline, &changes).unwrap();
        self.check_watches();
        hints
    }

    /// Exactly the directories of the baseline are watched, each under its own path.
    fn check_watches(&self) {
        let state = self.watches.shared.lock().unwrap();
        let directories: Vec<_> = self.baseline.directories().collect();
        for directory in &directories {
            assert!(
                state.table.has_path(directory) || state.unwatched.covers(directory),
                "{directory:?} is not watched"
            );
        }
        if state.unwatched.iter().next().is_none() {
            assert_eq!(state.table.len(), directories.len());
        }
        drop(state);
        assert!(self.settle().hints().next().is_none(), "advance left hints");
        for directory in self.baseline.directories() {
            let name = OsStr::from_bytes(directory.as_bytes());
            let at = self.directory.path().join(name);
            let mode = fs::metadata(&at).unwrap().permissions();
            fs::set_permissions(&at, mode).unwrap();
            let hints = self.settle();
            let seen: Vec<_> = hints.hints().map(|(path, _)| path.clone()).collect();
            let unwatched = hints.losses().next().is_some();
            assert!(
                unwatched || seen.contains(&directory),
                "{directory:?} is deaf: {seen:?}"
            );
            assert!(
                seen.iter().all(|path| *path == directory),
                "{directory:?} reports as {seen:?}"
            );
        }
    }
}

/// Whether somebody who looks where the hints and losses say finds out about `path`.
fn covers(hints: &HintSet, before: &Baseline, after: &Baseline, path: &RelPath) -> bool {
    let scoped = |path: &RelPath| {
        hints.hints().any(|(hint, scope)| match scope {
            Scope::Entry => hint == path,
            Scope::Children => hint == path || path.parent().as_ref() == Some(hint),
            Scope::Subtree => path.is_within(hint),
        })
    };
    let lost = hints.losses().any(|loss| path.is_within(&loss.path));
    // A hint names an inode: all names it had are looked at.
    let linked = before.entry(path).is_some_and(|entry| {
        let names = [before.names_of(&entry), after.names_of(&entry)];
        names.iter().flatten().any(scoped)
    });
    scoped(path) || lost || linked
}
