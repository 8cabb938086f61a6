//! A file that is written to without end, and what its directory no longer reports then.

use std::os::unix::fs::FileExt;

use super::*;

/// Writes to a file and drains, as often as it takes for its directory to go without `MODIFY`; no more than 20 times.
/// `before_drain` runs between the two.
fn heat(tree: &Tree, name: &str, mut before_drain: impl FnMut(usize)) -> usize {
    let file = fs::OpenOptions::new()
        .write(true)
        .open(tree.at(name))
        .unwrap();
    for round in 0..20 {
        file.write_all_at(b"x", 0).unwrap();
        before_drain(round);
        let mut state = tree.watches.shared.lock().unwrap();
        state.drain().unwrap();
        if !state.muted.is_empty() {
            return round;
        }
    }
    20
}

/// A tree whose reader is paused: the tests drain.
fn paused() -> Tree {
    let tree = tree();
    tree.watches.pause().unwrap();
    tree
}

/// truncate(2) raises nothing but `MODIFY`.
fn truncate(tree: &Tree, name: &str) {
    let at = tree.at(name);
    let length = fs::metadata(&at).unwrap().len();
    let name = std::ffi::CString::new(at.as_os_str().as_bytes()).unwrap();
    // SAFETY: a C string that outlives the call.
    let done = unsafe { libc::truncate(name.as_ptr(), length as libc::off_t - 1) };
    assert_eq!(done, 0);
}

fn scope(hints: &HintSet, name: &str) -> Option<Scope> {
    hints.scope(&path(name))
}

#[test]
fn beside_a_file_written_without_end_a_truncation_has_no_event_and_is_covered() {
    let mut tree = paused();
    assert!(heat(&tree, "d/f", |_| ()) < 20);
    fs::write(tree.at("d/g"), "before").unwrap();
    let known = tree.watches.events().unwrap();
    let hints = tree.settle();
    assert_eq!(scope(&hints, "d"), Some(Scope::Children));
    assert!(tree.watches.events().unwrap() > known, "only MODIFY is off");
    let known = tree.watches.events().unwrap();
    truncate(&tree, "d/g");
    tree.settle();
    assert_eq!(
        tree.watches.events().unwrap(),
        known,
        "the truncation was reported: nothing was gained"
    );
    assert_eq!(scope(&tree.step(), "d"), Some(Scope::Children));
    truncate(&tree, "d/g");
    let hints = tree.step();
    assert_eq!(scope(&hints, "d"), None, "the next step is told again");
    assert_eq!(scope(&hints, "d/g"), Some(Scope::Entry));
}

#[test]
fn every_settle_up_to_the_next_advance_hints_at_what_is_not_reported() {
    let mut tree = paused();
    heat(&tree, "d/f", |_| ());
    for _ in 0..2 {
        assert_eq!(scope(&tree.settle(), "d"), Some(Scope::Children));
    }
    tree.step();
    assert!(tree.settle().is_empty());
}

/// The path of a hot directory leads to a directory that is new: its events belong to no recorded path.
#[test]
fn a_hot_directory_that_was_moved_and_replaced_stays_told_and_its_successor_is_left_alone() {
    let mut tree = paused();
    let rounds = heat(&tree, "d/f", |round| {
        if round == 1 {
            fs::rename(tree.at("d"), tree.at("away")).unwrap();
            fs::create_dir(tree.at("d")).unwrap();
        }
        let _ = fs::write(tree.at("d/new"), "new");
    });
    assert_eq!(rounds, 20, "nothing was muted");
    truncate(&tree, "away/f");
    let hints = tree.step();
    assert_eq!(hints.losses().count(), 0, "{hints:?}");
    assert!(tree.settle().is_empty());
}

#[test]
fn a_hot_directory_that_traded_places_with_another_watched_one_mutes_that_and_covers_it() {
    let mut tree = paused();
    heat(&tree, "d/f", |round| {
        if round == 1 {
            let (one, other) = (tree.at("d"), tree.at("a"));
            renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).unwrap();
        }
    });
    // The inode that was a is at d now, and does not report this.
    truncate(&tree, "d/f");
    let hints = tree.step();
    assert!(scope(&hints, "a") >= Some(Scope::Children));
    for name in ["a/f", "d/f"] {
        fs::write(tree.at(name), "long enough").unwrap();
    }
    tree.step();
    for name in ["a/f", "d/f"] {
        truncate(&tree, name);
    }
    let hints = tree.step();
    assert_eq!(scope(&hints, "a/f"), Some(Scope::Entry));
    assert_eq!(scope(&hints, "d/f"), Some(Scope::Entry));
}

#[test]
fn a_hot_directory_that_leaves_after_it_was_muted_is_told_again_at_its_new_place() {
    let mut tree = paused();
    heat(&tree, "d/f", |_| ());
    fs::rename(tree.at("d"), tree.at("x/d")).unwrap();
    truncate(&tree, "x/d/f");
    tree.step();
    fs::write(tree.at("x/d/f"), "long enough").unwrap();
    tree.step();
    truncate(&tree, "x/d/f");
    assert_eq!(scope(&tree.step(), "x/d/f"), Some(Scope::Entry));
}

#[test]
fn no_link_that_took_the_place_of_a_hot_directory_is_followed() {
    let outside = tempfile::tempdir().unwrap();
    fs::create_dir(outside.path().join("b")).unwrap();
    fs::write(outside.path().join("b/f"), "outside").unwrap();
    let mut tree = paused();
    let rounds = heat(&tree, "a/b/f", |round| {
        if round == 1 {
            fs::rename(tree.at("a"), tree.at("away")).unwrap();
            symlink(outside.path(), tree.at("a")).unwrap();
        }
        fs::write(outside.path().join("b/f"), "outside").unwrap();
    });
    assert_eq!(rounds, 20);
    assert_eq!(
        tree.watches.shared.lock().unwrap().strays.len(),
        0,
        "nothing was watched out there"
    );
    assert_eq!(tree.step().losses().count(), 0);
}

#[test]
fn the_larger_a_directory_the_longer_it_must_be_hot() {
    let tree = tree_with(None, |at| {
        fs::create_dir(at.join("small")).unwrap();
        fs::create_dir(at.join("large")).unwrap();
        fs::write(at.join("small/f"), "small").unwrap();
        for name in 0..4000 {
            fs::write(at.join(format!("large/{name}")), "").unwrap();
        }
    });
    tree.watches.pause().unwrap();
    assert_eq!(heat(&tree, "small/f", |_| ()), 2);
    let mut state = tree.watches.shared.lock().unwrap();
    state.muted.clear();
    drop(state);
    assert_eq!(heat(&tree, "large/7", |_| ()), 5);
}
