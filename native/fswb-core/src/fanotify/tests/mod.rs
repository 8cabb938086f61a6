//! Events as the kernel would write them, against a baseline. The kernel itself is asked in `tests/`, since a mark needs
//! root.

use std::path::PathBuf;

use super::event::parse;
use super::event::tests::{event, record};
use super::gathered::{CROWD, Gathered, LIMIT, REMEMBERED, Sieve};
use crate::baseline::Baseline;
use crate::change::{Change, ChangeKind, ChangeSet, Why};
use crate::entry::{Entry, Kind};
use crate::hint::{HintSet, LossReason, Scope};
use crate::path::RelPath;

const NAMED: u8 = libc::FAN_EVENT_INFO_TYPE_DFID_NAME;
const OLD: u8 = libc::FAN_EVENT_INFO_TYPE_OLD_DFID_NAME;
const NEW: u8 = libc::FAN_EVENT_INFO_TYPE_NEW_DFID_NAME;
const INODE: u8 = libc::FAN_EVENT_INFO_TYPE_FID;

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

fn entry(kind: Kind, ino: u64) -> Entry {
    Entry {
        kind,
        mode: 0o755,
        uid: 0,
        gid: 0,
        rdev: 0,
        size: 0,
        mtime_ns: 0,
        target: Vec::new(),
        xattrs: Vec::new(),
        sha256: None,
        ctime_ns: 0,
        btime_ns: 0,
        dev: 1,
        ino,
        nlink: 1,
        racy: false,
    }
}

/// `.` 2, `d` 3, `d/f` 4 and `g` 4, `d/e` 5; some of it in the map, the rest in the delta.
fn baseline() -> (tempfile::TempDir, Baseline) {
    let directory = tempfile::tempdir().unwrap();
    let file: PathBuf = directory.path().join("baseline");
    let mut baseline = Baseline::empty(entry(Kind::Directory, 2));
    let put = |baseline: &mut Baseline, text: &str, kind, ino| {
        baseline.put(&path(text), entry(kind, ino)).unwrap();
    };
    put(&mut baseline, "d", Kind::Directory, 3);
    put(&mut baseline, "d/f", Kind::File, 4);
    baseline.save(&file).unwrap();
    put(&mut baseline, "g", Kind::File, 4);
    put(&mut baseline, "d/e", Kind::Directory, 5);
    (directory, baseline)
}

struct Step {
    sieve: Sieve,
    gathered: Gathered,
}

impl Step {
    fn new(baseline: &Baseline) -> Self {
        Self {
            sieve: Sieve::new(baseline.inodes(), 0),
            gathered: Gathered::default(),
        }
    }

    fn event(&mut self, mask: u64, records: &[Vec<u8>]) -> &mut Self {
        let bytes = event(mask, records);
        for event in parse(&bytes) {
            self.sieve.pass(&event.unwrap(), &mut self.gathered);
        }
        self
    }

    fn named(&mut self, mask: u64, directory: u32, name: &[u8], ino: u32) -> &mut Self {
        let records = [
            record(NAMED, directory, Some(name)),
            record(INODE, ino, None),
        ];
        self.event(mask, &records)
    }

    fn settle(&mut self, baseline: &Baseline) -> HintSet {
        std::mem::take(&mut self.gathered).resolve(baseline)
    }
}

fn shown(hints: &HintSet) -> Vec<(String, Scope)> {
    let hints = hints.hints();
    hints
        .map(|(path, scope)| (String::from_utf8_lossy(path.as_bytes()).into_owned(), scope))
        .collect()
}

fn at(text: &str, scope: Scope) -> (String, Scope) {
    (text.to_owned(), scope)
}

#[test]
fn an_inode_is_hinted_under_all_its_names_whatever_name_was_used() {
    let (_directory, baseline) = baseline();
    let mut step = Step::new(&baseline);
    step.named(libc::FAN_MODIFY, 999, b"elsewhere", 4);
    let both = [at("d/f", Scope::Entry), at("g", Scope::Entry)];
    assert_eq!(shown(&step.settle(&baseline)), both);
    step.event(libc::FAN_ATTRIB, &[record(INODE, 4, None)]);
    assert_eq!(shown(&step.settle(&baseline)), both);
    assert!(step.settle(&baseline).is_empty());
}

#[test]
fn a_name_that_comes_or_goes_is_hinted_with_its_directory() {
    let (_directory, baseline) = baseline();
    let mut step = Step::new(&baseline);
    step.named(libc::FAN_CREATE, 5, b"new", 77);
    step.named(libc::FAN_CREATE | libc::FAN_ONDIR, 5, b"sub", 78);
    step.named(libc::FAN_CREATE, 78, b"in-it", 79);
    assert_eq!(
        shown(&step.settle(&baseline)),
        [
            at("d/e", Scope::Entry),
            at("d/e/new", Scope::Entry),
            at("d/e/sub", Scope::Subtree)
        ]
    );
    step.named(libc::FAN_DELETE, 3, b"f", 4);
    assert_eq!(
        shown(&step.settle(&baseline)),
        [
            at("d", Scope::Entry),
            at("d/f", Scope::Entry),
            at("g", Scope::Entry)
        ]
    );
}

#[test]
fn of_a_rename_each_half_counts_that_is_in_the_tree() {
    let (_directory, baseline) = baseline();
    let mut step = Step::new(&baseline);
    let rename = |from, to| {
        [
            record(OLD, from, Some(b"old")),
            record(NEW, to, Some(b"new")),
            record(INODE, 88, None),
        ]
    };
    let mask = libc::FAN_RENAME | libc::FAN_ONDIR;
    step.event(mask, &rename(3, 5));
    assert_eq!(
        shown(&step.settle(&baseline)),
        [
            at("d", Scope::Entry),
            at("d/e", Scope::Entry),
            at("d/e/new", Scope::Subtree),
            at("d/old", Scope::Entry)
        ]
    );
    step.event(mask, &rename(999, 5));
    assert_eq!(
        shown(&step.settle(&baseline)),
        [at("d/e", Scope::Entry), at("d/e/new", Scope::Subtree)]
    );
    step.event(mask, &rename(5, 999));
    assert_eq!(
        shown(&step.settle(&baseline)),
        [at("d/e", Scope::Entry), at("d/e/old", Scope::Entry)]
    );
}

#[test]
fn the_root_itself_is_known() {
    let (_directory, baseline) = baseline();
    let mut step = Step::new(&baseline);
    step.event(
        libc::FAN_ATTRIB | libc::FAN_ONDIR,
        &[record(NAMED, 2, Some(b"."))],
    );
    assert_eq!(shown(&step.settle(&baseline)), [at("", Scope::Entry)]);
}

#[test]
fn a_number_that_a_file_had_is_no_directory_to_find_names_in() {
    let (_directory, baseline) = baseline();
    let mut step = Step::new(&baseline);
    step.named(
        libc::FAN_CREATE,
        4,
        b"in-a-new-directory-with-an-old-number",
        90,
    );
    assert_eq!(shown(&step.settle(&baseline)), []);
}

#[test]
fn what_came_with_a_step_is_known_in_the_next() {
    let (_directory, mut baseline) = baseline();
    let mut step = Step::new(&baseline);
    step.named(libc::FAN_MODIFY, 30, b"f", 31);
    assert!(step.settle(&baseline).is_empty());
    let added = |text: &str, kind, ino| Change {
        path: path(text),
        kind: ChangeKind::Added,
        why: Why::empty(),
        before: None,
        after: Some(entry(kind, ino).into()),
    };
    let mut changes = ChangeSet::default();
    changes.changes.push(added("n", Kind::Directory, 30));
    changes.changes.push(added("n/f", Kind::File, 31));
    baseline.apply(&changes).unwrap();
    step.sieve.update(|inodes| inodes.extend(&changes));
    step.named(libc::FAN_MODIFY, 30, b"f", 31);
    assert_eq!(shown(&step.settle(&baseline)), [at("n/f", Scope::Entry)]);
}

#[test]
fn foreign_traffic_leaves_nothing_behind() {
    let (_directory, baseline) = baseline();
    let mut step = Step::new(&baseline);
    for number in 0..3 * REMEMBERED as u32 {
        step.named(
            libc::FAN_CREATE,
            1000 + number,
            b"foreign",
            10_000_000 + number,
        );
        assert!(step.sieve.remembered() <= REMEMBERED);
    }
    assert_eq!(step.gathered.kept(), 0);
    assert!(step.settle(&baseline).is_empty());
}

#[test]
fn ever_new_names_in_one_directory_do_not_add_up() {
    let (_directory, baseline) = baseline();
    let mut step = Step::new(&baseline);
    for number in 0..2 * CROWD {
        step.named(libc::FAN_CREATE, 3, format!("t{number}").as_bytes(), 100);
        assert!(step.gathered.kept() <= CROWD);
    }
    step.named(libc::FAN_CREATE | libc::FAN_ONDIR, 3, b"sub", 101);
    assert_eq!(
        shown(&step.settle(&baseline)),
        [at("d", Scope::Children), at("d/sub", Scope::Subtree)]
    );
    for number in 0..2 * CROWD {
        let name = format!("t{number}");
        step.named(libc::FAN_CREATE | libc::FAN_ONDIR, 3, name.as_bytes(), 100);
    }
    assert_eq!(shown(&step.settle(&baseline)), [at("d", Scope::Subtree)]);
}

#[test]
fn more_than_is_worth_remembering_is_a_loss_of_the_root() {
    let mut baseline = Baseline::empty(entry(Kind::Directory, 2));
    for number in 0..=LIMIT as u64 {
        let name = path(&format!("f{number}"));
        baseline
            .put(&name, entry(Kind::File, 100 + number))
            .unwrap();
    }
    let mut step = Step::new(&baseline);
    for number in 0..LIMIT as u32 {
        step.named(libc::FAN_MODIFY, 2, b"f", 100 + number);
    }
    assert_eq!(step.gathered.kept(), LIMIT);
    step.named(libc::FAN_MODIFY, 2, b"f", 100 + LIMIT as u32);
    step.named(libc::FAN_MODIFY, 2, b"f", 100);
    assert_eq!(step.gathered.kept(), 0);
    let hints = step.settle(&baseline);
    let losses: Vec<_> = hints
        .losses()
        .map(|loss| (loss.reason, loss.path.clone()))
        .collect();
    assert_eq!(losses, [(LossReason::Flood, RelPath::ROOT)]);
    assert_eq!(hints.len(), 0);
}

#[test]
fn an_overlay_that_is_mounted_within_the_tree_is_a_loss_of_the_root() {
    let (_directory, baseline) = baseline();
    let made = libc::FAN_CREATE | libc::FAN_ONDIR;
    let lost = |directory: u32, name: &[u8], trial: &[u8]| {
        let mut step = Step::new(&baseline);
        step.named(made, directory, name, 50);
        step.named(libc::FAN_CREATE, 50, trial, 51);
        let hints = step.settle(&baseline);
        hints.losses().map(|loss| loss.reason).collect::<Vec<_>>()
    };
    assert_eq!(lost(3, b"work", b"#1a"), [LossReason::NestedOverlay]);
    assert_eq!(lost(3, b"work", b"a"), []);
    assert_eq!(lost(3, b"other", b"#1a"), []);
    assert_eq!(lost(999, b"work", b"#1a"), []);
}

#[test]
fn an_overflow_and_what_cannot_be_read_are_losses_of_the_root() {
    let (_directory, baseline) = baseline();
    let mut step = Step::new(&baseline);
    let strange = {
        let mut record = record(INODE, 4, None);
        record[16] = 0x77; // the type of the handle
        record
    };
    for (mask, records, reason) in [
        (libc::FAN_Q_OVERFLOW, vec![], LossReason::QueueOverflow),
        (libc::FAN_MODIFY, vec![strange], LossReason::UnreadableEvent),
        (libc::FAN_MODIFY, vec![], LossReason::UnreadableEvent),
        (
            libc::FAN_MODIFY,
            vec![record(NAMED, 3, Some(b"f"))],
            LossReason::UnreadableEvent,
        ),
    ] {
        step.event(mask, &records);
        let hints = step.settle(&baseline);
        let losses: Vec<_> = hints.losses().map(|loss| loss.reason).collect();
        assert_eq!(losses, [reason]);
    }
}
