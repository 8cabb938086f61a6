//! Real directories, real events. The question is always the same: do the hints cover all that changed?

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
                    set.refreshed.push((path, new.clone()));
                }
                continue;
            }
        };
        set.changes.push(Change {
            path,
            kind,
            why: Why::empty(),
            before: old,
            after: new,
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
    let scoped = hints.hints().any(|(hint, scope)| match scope {
        Scope::Entry => hint == path,
        Scope::Children => hint == path || path.parent().as_ref() == Some(hint),
        Scope::Subtree => path.is_within(hint),
    });
    let lost = hints.losses().any(|loss| path.is_within(&loss.path));
    // A hint names an inode: all names it had are looked at.
    let linked = hints.hints().any(|(hint, _)| {
        [before.entry(hint), after.entry(hint)]
            .iter()
            .flatten()
            .any(|entry| before.names_of(entry).contains(path))
    });
    scoped || lost || linked
}

fn rename_exchange(one: &Path, other: &Path) {
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
}

#[test]
fn what_one_call_changes_is_covered() {
    type Mutation = (&'static str, fn(&Tree));
    let mutations: &[Mutation] = &[
        ("append", |t| {
            use std::io::Write;
            let file = fs::OpenOptions::new().append(true).open(t.at("a/f"));
            file.unwrap().write_all(b"more").unwrap();
        }),
        ("truncate by path", |t| {
            let name = crate::root::c_string(t.at("a/f").as_os_str().as_bytes()).unwrap();
            // SAFETY: the argument is a NUL-terminated string that outlives the call.
            assert_eq!(unsafe { libc::truncate(name.as_ptr(), 1) }, 0);
        }),
        ("create", |t| fs::write(t.at("a/new"), "").unwrap()),
        ("symlink", |t| symlink("target", t.at("a/new")).unwrap()),
        ("link", |t| fs::hard_link(t.at("f"), t.at("a/new")).unwrap()),
        ("write by another name", |t| {
            fs::write(t.at("x/link"), "changed").unwrap();
        }),
        ("unlink", |t| fs::remove_file(t.at("a/b/f")).unwrap()),
        ("unlink one of two names", |t| {
            fs::remove_file(t.at("x/link")).unwrap();
        }),
        ("chmod of a file", |t| {
            let mode = fs::Permissions::from_mode(0o600);
            fs::set_permissions(t.at("a/f"), mode).unwrap();
        }),
        ("chmod of a directory", |t| {
            let mode = fs::Permissions::from_mode(0o700);
            fs::set_permissions(t.at("a"), mode).unwrap();
        }),
        ("chmod of the root", |t| {
            let mode = fs::Permissions::from_mode(0o711);
            fs::set_permissions(t.at(""), mode).unwrap();
        }),
        ("rename a file over another", |t| {
            fs::rename(t.at("a/f"), t.at("d/f")).unwrap();
        }),
        ("exchange a file and a directory", |t| {
            rename_exchange(&t.at("a/b"), &t.at("d/f"));
        }),
        ("exchange two directories", |t| {
            rename_exchange(&t.at("a"), &t.at("d"));
        }),
        ("a file takes the place of a directory", |t| {
            fs::remove_dir_all(t.at("a")).unwrap();
            fs::write(t.at("a"), "").unwrap();
        }),
        ("a directory takes the place of a file", |t| {
            fs::remove_file(t.at("f")).unwrap();
            fs::create_dir_all(t.at("f/g/h")).unwrap();
            fs::write(t.at("f/g/h/i"), "").unwrap();
        }),
    ];
    for (name, mutate) in mutations {
        eprintln!("{name}");
        let mut tree = tree();
        mutate(&tree);
        assert!(tree.step().hints().next().is_some(), "{name}");
        assert!(tree.settle().is_empty());
    }
}

#[test]
fn directories_made_faster_than_anyone_can_watch_are_looked_at_whole() {
    let mut tree = tree();
    fs::create_dir_all(tree.at("n/o/p")).unwrap();
    fs::write(tree.at("n/o/p/f"), "").unwrap();
    let hints = tree.step();
    assert!(
        hints
            .hints()
            .any(|hint| hint == (&path("n"), Scope::Subtree))
    );
    fs::write(tree.at("n/o/p/f"), "again").unwrap();
    let hints = tree.step();
    assert_eq!(
        hints.hints().collect::<Vec<_>>(),
        [(&path("n/o/p/f"), Scope::Entry)]
    );
}

#[test]
fn a_write_reported_under_the_stale_path_of_a_moved_directory_is_covered_at_its_new_place() {
    let mut tree = tree();
    fs::rename(tree.at("a"), tree.at("d/z")).unwrap();
    fs::write(tree.at("d/z/b/c/f"), "changed").unwrap();
    let hints = tree.step();
    assert!(hints.hints().any(|(hint, _)| *hint == path("a/b/c/f")));
    fs::write(tree.at("d/z/b/c/f"), "again").unwrap();
    let hints = tree.step();
    assert_eq!(
        hints.hints().collect::<Vec<_>>(),
        [(&path("d/z/b/c/f"), Scope::Entry)]
    );
}

#[test]
fn a_directory_moved_into_an_unwatched_one_and_out_again_keeps_its_watch() {
    let mut tree = tree();
    fs::create_dir(tree.at("n")).unwrap();
    fs::rename(tree.at("a"), tree.at("n/a")).unwrap();
    fs::write(tree.at("n/a/b/f"), "changed").unwrap();
    fs::rename(tree.at("n/a"), tree.at("a")).unwrap();
    fs::remove_dir(tree.at("n")).unwrap();
    tree.step();
}

#[test]
fn a_directory_removed_and_made_anew_is_watched_anew() {
    let mut tree = tree();
    for _ in 0..3 {
        fs::remove_dir_all(tree.at("a/b")).unwrap();
        fs::create_dir_all(tree.at("a/b/c")).unwrap();
        tree.step();
    }
}

#[test]
fn a_directory_made_anew_with_all_its_times_restored_is_watched_anew() {
    let mut tree = tree();
    let modified = |name: &str| fs::metadata(tree.at(name)).unwrap().modified().unwrap();
    let (above, itself) = (modified("d"), modified("d/e"));
    fs::remove_dir(tree.at("d/e")).unwrap();
    fs::create_dir(tree.at("d/e")).unwrap();
    for (name, time) in [("d/e", itself), ("d", above)] {
        let directory = fs::File::open(tree.at(name)).unwrap();
        directory.set_modified(time).unwrap();
    }
    tree.step();
}

#[test]
fn a_watch_that_ends_for_no_known_reason_is_a_hint_and_comes_back() {
    let mut tree = tree();
    let state = tree.watches.shared.lock().unwrap();
    let wds: Vec<_> = (1..100)
        .filter(|&wd| state.table.path(wd).is_some_and(|at| **at == path("a/b")))
        .collect();
    drop(state);
    inotify::remove_watch(&tree.inotify, wds[0]).unwrap();
    let hints = tree.step();
    assert_eq!(
        hints.hints().collect::<Vec<_>>(),
        [(&path("a/b"), Scope::Subtree)]
    );
}

#[test]
fn an_event_of_an_unknown_watch_is_a_loss_of_the_root() {
    let tree = tree();
    let outside = tempfile::tempdir().unwrap();
    inotify::add_watch(&tree.inotify, outside.path(), inotify::WatchFlags::CREATE).unwrap();
    fs::write(outside.path().join("f"), "").unwrap();
    let loss = Loss {
        reason: LossReason::UnknownWatch,
        path: RelPath::ROOT,
    };
    assert_eq!(tree.settle().losses().collect::<Vec<_>>(), [&loss]);
}

#[test]
fn what_was_written_before_advancing_is_no_hint_after_it() {
    let tree = tree();
    fs::write(tree.at("a/f"), "copied").unwrap();
    let changes = ChangeSet::default();
    tree.watches.advance(&tree.baseline, &changes).unwrap();
    assert!(tree.settle().is_empty());
}

#[test]
fn after_an_overflow_the_watches_follow_all_the_same() {
    let mut tree = tree();
    tree.watches.pause().unwrap();
    for index in 0..9000 {
        fs::File::create(tree.at(&format!("x/{index}"))).unwrap();
    }
    fs::remove_dir_all(tree.at("x")).unwrap();
    fs::create_dir_all(tree.at("x/new")).unwrap();
    fs::rename(tree.at("a"), tree.at("d/e/a")).unwrap();
    fs::rename(tree.at("d"), tree.at("a")).unwrap();
    let hints = tree.step();
    assert_eq!(hints.losses().count(), 1);
}

#[test]
fn a_deleted_directory_frees_its_watch_and_so_does_one_moved_out_of_the_tree() {
    let mut tree = tree();
    let outside = tempfile::tempdir().unwrap();
    fs::rename(tree.at("a"), outside.path().join("a")).unwrap();
    fs::remove_dir_all(tree.at("d")).unwrap();
    tree.step();
    assert_eq!(tree.watches.count().unwrap(), 3);
    fs::write(outside.path().join("a/b/f"), "no longer ours").unwrap();
    assert!(tree.settle().is_empty());
}

#[test]
fn random_steps_are_covered() {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut below = move |bound: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % bound as u64).unwrap()
    };
    let mut tree = tree();
    for step in 0..60 {
        for _ in 0..below(8) {
            let now = snapshot(&tree.root, tree.directory.path());
            let directories: Vec<_> = now.directories().collect();
            let all: Vec<_> = paths(&now).into_iter().skip(1).collect();
            let place = |p: &RelPath| tree.directory.path().join(OsStr::from_bytes(p.as_bytes()));
            let into = place(&directories[below(directories.len())]);
            let target = into.join(["f", "g", "a", "b"][below(4)]);
            let source = all.get(below(all.len().max(1)));
            // Most of these fail now and then (not empty, exists, into itself): a failed call changes nothing.
            match (below(7), source) {
                (0, _) => drop(fs::create_dir(&target)),
                (1, _) => drop(fs::write(&target, step.to_string())),
                (2, Some(source)) => drop(fs::rename(place(source), &target)),
                (3, Some(source)) => drop(renameat_with(
                    CWD,
                    place(source),
                    CWD,
                    &target,
                    RenameFlags::EXCHANGE,
                )),
                (4, Some(source)) => drop(fs::remove_file(place(source))),
                (5, Some(source)) => drop(fs::remove_dir_all(place(source))),
                (_, Some(source)) => drop(fs::rename(place(source), &target)),
                (_, None) => {}
            }
        }
        tree.step();
    }
}

#[test]
fn a_queue_that_overflows_is_a_loss_of_the_root() {
    let tree = tree();
    tree.watches.pause().unwrap();
    for index in 0..9000 {
        fs::File::create(tree.at(&format!("x/{index}"))).unwrap();
    }
    let hints = tree.settle();
    let loss = Loss {
        reason: LossReason::QueueOverflow,
        path: RelPath::ROOT,
    };
    assert_eq!(hints.losses().collect::<Vec<_>>(), [&loss]);
    tree.watches.resume().unwrap();
    fs::write(tree.at("a/f"), "after").unwrap();
    let hints = tree.settle();
    assert_eq!(hints.losses().count(), 0);
    assert_eq!(
        hints.hints().collect::<Vec<_>>(),
        [(&path("a/f"), Scope::Entry)]
    );
}

#[test]
fn the_reader_keeps_up_with_more_events_than_the_queue_holds() {
    let tree = tree();
    for index in 0..20_000 {
        fs::File::create(tree.at(&format!("x/{}", index % 500))).unwrap();
        if index % 1000 == 999 {
            // The watched command is not faster than the reader: it would be, with nothing to do but this.
            let deadline = Instant::now() + Duration::from_secs(10);
            let before = tree.watches.events().unwrap();
            while tree.watches.events().unwrap() == before && Instant::now() < deadline {
                std::thread::yield_now();
            }
        }
    }
    let hints = tree.settle();
    assert!(tree.watches.events().unwrap() > 16_384);
    assert_eq!(hints.losses().count(), 0);
    assert_eq!(
        hints.len(),
        501,
        "memory grows with distinct paths, not with events"
    );
}

#[test]
fn what_does_not_fit_the_budget_is_a_loss_until_there_is_room() {
    let mut tree = tree_with(Some(5), |at| {
        for name in ["a/b", "a/c", "d/e/g", "h"] {
            fs::create_dir_all(at.join(name)).unwrap();
        }
    });
    let lost = |hints: &HintSet| hints.losses().map(|l| l.path.clone()).collect::<Vec<_>>();
    assert_eq!(tree.watches.count().unwrap(), 5);
    assert_eq!(lost(&tree.settle()), [path("d/e"), path("h")]);
    assert_eq!(
        lost(&tree.settle()),
        [path("d/e"), path("h")],
        "a persistent loss"
    );

    fs::write(tree.at("d/e/g/f"), "unseen").unwrap();
    fs::create_dir(tree.at("a/new")).unwrap();
    assert_eq!(lost(&tree.step()), [path("d/e"), path("h")]);
    assert_eq!(
        lost(&tree.settle()),
        [path("a/new"), path("d/e"), path("h")]
    );

    fs::remove_dir_all(tree.at("a")).unwrap();
    tree.step();
    assert_eq!(lost(&tree.settle()), []);
    assert_eq!(tree.watches.count().unwrap(), 5);
}

#[test]
fn a_path_longer_than_one_call_takes_is_watched() {
    use rustix::fs::{Mode, OFlags, mkdirat, openat};
    let name = "n".repeat(200);
    let tree = tree();
    let mut baseline = Baseline::empty(tree.root.entry(&RelPath::ROOT).unwrap().unwrap());
    let mut deepest = RelPath::ROOT;
    let mut at = tree.root.open_directory(&deepest).unwrap();
    for _ in 0..30 {
        mkdirat(&at, name.as_str(), Mode::RWXU).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        at = openat(&at, name.as_str(), flags, Mode::empty()).unwrap();
        deepest = deepest.join(name.as_bytes()).unwrap();
        let entry = tree.root.entry(&deepest).unwrap().unwrap();
        baseline.put(&deepest, entry).unwrap();
    }
    let inotify = inotify::init(CreateFlags::CLOEXEC).unwrap();
    let watches = Watches::new(inotify.as_fd()).unwrap();
    watches.arm(tree.root.clone(), &baseline, None).unwrap();
    assert_eq!(watches.count().unwrap(), 31);
    mkdirat(&at, "new", Mode::RWXU).unwrap();
    let hints = watches.settle().unwrap();
    let expected = [
        (&deepest, Scope::Entry),
        (&deepest.join(b"new").unwrap(), Scope::Subtree),
    ];
    assert_eq!(hints.hints().collect::<Vec<_>>(), expected);
}

#[test]
fn a_directory_that_is_gone_already_is_a_hint() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("a")).unwrap();
    let root = Arc::new(Root::open(directory.path().as_os_str().as_bytes()).unwrap());
    let baseline = snapshot(&root, directory.path());
    fs::remove_dir(directory.path().join("a")).unwrap();
    let inotify = inotify::init(CreateFlags::CLOEXEC).unwrap();
    let watches = Watches::new(inotify.as_fd()).unwrap();
    watches.arm(root, &baseline, None).unwrap();
    let hints = watches.settle().unwrap();
    assert_eq!(
        hints.hints().collect::<Vec<_>>(),
        [(&path("a"), Scope::Subtree)]
    );
}

#[test]
fn closing_while_events_stream_in_ends_at_once() {
    let tree = tree();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                fs::write(tree.at("a/f"), "x").unwrap();
            }
        });
        let start = Instant::now();
        tree.watches.close();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(start.elapsed() < Duration::from_secs(5));
    });
    assert!(
        tree.watches.settle().is_err(),
        "closed watches vouch for nothing"
    );
    tree.watches.close();
}
