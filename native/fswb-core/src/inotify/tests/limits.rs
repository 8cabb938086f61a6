//! Overflow, too few watches, events that make no sense, an end in full swing.

use super::*;

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
    assert!(
        hints.len() <= 501,
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
