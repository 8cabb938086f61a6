//! A baseline against a plain map, and a saved one against damage.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::entry::Xattrs;

fn entry(kind: Kind, number: u64) -> Entry {
    let shared = kind == Kind::File && number % 3 == 0;
    Entry {
        kind,
        mode: (number % 0o10000) as u32,
        uid: number as u32,
        gid: u32::MAX - number as u32,
        rdev: if kind == Kind::CharDevice {
            number << 33 | 1
        } else {
            0
        },
        size: if kind == Kind::File {
            number << 40 | 7
        } else {
            0
        },
        mtime_ns: -(number as i64),
        target: if kind == Kind::Symlink {
            b"a\xff/b".to_vec()
        } else {
            Vec::new()
        },
        xattrs: if number % 2 == 0 {
            Xattrs::new()
        } else {
            vec![
                (b"security.capability".to_vec(), vec![0, 1]),
                (b"user.x".to_vec(), Vec::new()),
            ]
        },
        sha256: (kind == Kind::File && number % 2 == 1).then_some([number as u8; 32]),
        ctime_ns: i64::MAX - number as i64,
        btime_ns: number as i64,
        dev: number % 4,
        ino: if shared { 9 } else { number + 100 },
        nlink: if shared { 2 } else { 1 },
        racy: number % 5 == 0,
    }
}

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

fn empty() -> Baseline {
    Baseline::empty(entry(Kind::Directory, 1))
}

/// The specification: everything in one map.
#[derive(Debug, Clone)]
struct Model(BTreeMap<RelPath, Entry>);

impl Model {
    fn put(&mut self, path: &RelPath, entry: Entry) -> bool {
        let parent = path
            .parent()
            .map(|parent| self.0.get(&parent).map(|entry| entry.kind));
        if parent.is_some_and(|kind| kind != Some(Kind::Directory)) {
            return false;
        }
        if path.is_root() && entry.kind != Kind::Directory {
            return false;
        }
        if entry.kind != Kind::Directory {
            self.remove(path);
        }
        self.0.insert(path.clone(), entry);
        true
    }

    fn remove(&mut self, path: &RelPath) {
        self.0
            .retain(|known, _| known.is_root() || !known.is_within(path));
    }
}

fn assert_same(baseline: &Baseline, model: &Model) {
    let paths: Vec<RelPath> = model.0.keys().skip(1).cloned().collect();
    assert_eq!(baseline.paths().collect::<Vec<_>>(), paths);
    assert_eq!(baseline.len(), paths.len());
    let inodes = baseline.inodes();
    let is_directory = |entry: &&Entry| entry.kind == Kind::Directory;
    assert_eq!(
        baseline.directory_count(),
        model.0.values().filter(is_directory).count()
    );
    let directories = model.0.iter().filter(|(_, entry)| is_directory(entry));
    let directories: Vec<RelPath> = directories.map(|(path, _)| path.clone()).collect();
    assert_eq!(baseline.directories().collect::<Vec<_>>(), directories);
    for (path, entry) in &model.0 {
        assert_eq!(baseline.entry(path).as_ref(), Some(entry), "{path:?}");
        let names: Vec<Vec<u8>> = paths
            .iter()
            .filter(|below| below.parent().as_ref() == Some(path))
            .filter_map(|below| below.name().map(<[u8]>::to_vec))
            .collect();
        assert_eq!(baseline.children(path), names, "{path:?}");
        let named = |same: &dyn Fn(&Entry) -> bool| -> Vec<RelPath> {
            let names = model.0.iter().filter(|(_, other)| same(other));
            names.map(|(path, _)| path.clone()).collect()
        };
        let names = named(&|other| other.inode() == entry.inode());
        assert_eq!(baseline.names_of(entry), names, "{path:?}");
        let names = named(&|other| other.ino == entry.ino);
        assert_eq!(baseline.names_with_ino(entry.ino), names, "{path:?}");
        assert!(inodes.contains(entry.ino), "{path:?}");
    }
    let elsewhere = |path: &RelPath| model.0[path].dev != model.0[&RelPath::ROOT].dev;
    let topmost = paths
        .iter()
        .filter(|path| elsewhere(path) && !path.ancestors().any(|above| elsewhere(&above)));
    assert_eq!(
        baseline.on_other_devices(),
        topmost.cloned().collect::<Vec<_>>()
    );
    assert_eq!(baseline.entry(&path("no/such")), None);
}

#[test]
fn an_inode_with_more_links_than_names_is_linked_elsewhere_and_one_with_fewer_is_not() {
    let mut baseline = Baseline::empty(entry(Kind::Directory, 1));
    let mut put = |name, ino, nlink| {
        let entry = Entry {
            ino,
            nlink,
            ..entry(Kind::File, 3)
        };
        baseline.put(&path(name), entry).unwrap();
    };
    put("whole-a", 10, 2);
    put("whole-b", 10, 2);
    put("two-of-three-a", 11, 3);
    put("two-of-three-b", 11, 3);
    put("one-of-two", 12, 2);
    put("alone", 13, 1);
    for name in ["bound-a", "bound-b", "bound-c"] {
        put(name, 14, 2);
    }
    let expected = [path("one-of-two"), path("two-of-three-a")];
    assert_eq!(baseline.linked_elsewhere(), expected);
}

#[derive(Debug, Clone)]
enum Operation {
    Put(RelPath, Kind, u64),
    Remove(RelPath),
    Save,
}

fn a_path() -> impl Strategy<Value = RelPath> {
    let name = prop::sample::select(vec!["a", "b", "a-b", "a.d"]);
    prop::collection::vec(name, 1..4).prop_map(|parts| path(&parts.join("/")))
}

fn operation() -> impl Strategy<Value = Operation> {
    let kind = prop::sample::select(vec![
        Kind::Directory,
        Kind::Directory,
        Kind::Directory,
        Kind::File,
        Kind::Symlink,
        Kind::CharDevice,
    ]);
    prop_oneof![
        10 => (a_path(), kind, 0..60_u64).prop_map(|(path, kind, number)| Operation::Put(path, kind, number)),
        3 => a_path().prop_map(Operation::Remove),
        1 => Just(Operation::Save),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_behaves_as_one_map_of_all_entries(operations in prop::collection::vec(operation(), 1..50)) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("baseline");
        let mut baseline = empty();
        let mut model = Model(BTreeMap::from([(RelPath::ROOT, entry(Kind::Directory, 1))]));
        for operation in operations {
            match operation {
                Operation::Put(path, kind, number) => {
                    let put = baseline.put(&path, entry(kind, number)).is_ok();
                    prop_assert_eq!(put, model.put(&path, entry(kind, number)));
                }
                Operation::Remove(path) => {
                    baseline.remove(&path);
                    model.remove(&path);
                }
                Operation::Save => baseline.save(&file).unwrap(),
            }
            assert_same(&baseline, &model);
        }
        baseline.save(&file).unwrap();
        assert_same(&Baseline::open(&file).unwrap(), &model);
    }
}

fn saved() -> (tempfile::TempDir, std::path::PathBuf, Vec<u8>) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("baseline");
    let mut baseline = empty();
    for (text, kind) in [
        ("d", Kind::Directory),
        ("d/e", Kind::Directory),
        ("d/e/f", Kind::File),
        ("d/s", Kind::Symlink),
        ("f", Kind::File),
        ("g", Kind::File),
    ] {
        baseline.put(&path(text), entry(kind, 3)).unwrap();
    }
    baseline.save(&file).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    (directory, file, bytes)
}

#[test]
fn any_changed_byte_is_noticed() {
    let (_directory, file, bytes) = saved();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x40;
        std::fs::write(&file, damaged).unwrap();
        let opened = Baseline::open(&file);
        assert!(matches!(opened, Err(Error::Index { .. })), "byte {at}");
    }
}

#[test]
fn a_file_cut_short_or_too_long_is_noticed() {
    let (_directory, file, mut bytes) = saved();
    for length in 0..bytes.len() {
        std::fs::write(&file, &bytes[..length]).unwrap();
        let opened = Baseline::open(&file);
        assert!(
            matches!(opened, Err(Error::Index { .. })),
            "length {length}"
        );
    }
    bytes.push(0);
    std::fs::write(&file, &bytes).unwrap();
    assert!(matches!(Baseline::open(&file), Err(Error::Index { .. })));
}

/// The checksum is no defence against an author: with it made right again, whatever opens must be a tree.
#[test]
fn nonsense_with_a_right_checksum_never_panics() {
    let (_directory, file, bytes) = saved();
    let mut opened = 0;
    for at in (16..36).chain(format::HEADER..bytes.len()) {
        for value in [0_u8, 1, 0x2f, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] = value;
            let body = crc32fast::hash(&damaged[format::HEADER..]);
            damaged[12..16].copy_from_slice(&body.to_le_bytes());
            let header = crc32fast::hash(&damaged[..format::HEADER - 4]);
            damaged[format::HEADER - 4..format::HEADER].copy_from_slice(&header.to_le_bytes());
            std::fs::write(&file, damaged).unwrap();
            match Baseline::open(&file) {
                Ok(mut baseline) => {
                    opened += 1;
                    let paths: Vec<RelPath> = baseline.paths().collect();
                    assert_eq!(paths.len(), baseline.len());
                    assert_eq!(baseline.directories().count(), baseline.directory_count());
                    for path in paths {
                        let entry = baseline.entry(&path).unwrap();
                        baseline.names_of(&entry);
                    }
                    baseline.remove(&path("d"));
                    baseline.put(&path("n"), entry(Kind::Directory, 1)).unwrap();
                }
                Err(error) => assert!(matches!(error, Error::Index { .. }), "{error}"),
            }
        }
    }
    assert!(opened > 0, "sizes and times may be anything");
}

#[test]
fn a_failed_save_leaves_the_old_file_and_no_other() {
    let (directory, file, bytes) = saved();
    let mut baseline = Baseline::open(&file).unwrap();
    let missing = directory.path().join("missing/baseline");
    assert!(baseline.save(&missing).unwrap_err().is_absent());
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_very_deep_tree_is_recorded_saved_and_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("baseline");
    let mut baseline = empty();
    let mut deep = RelPath::ROOT;
    for _ in 0..3000 {
        deep = deep.join(b"d").unwrap();
        baseline.put(&deep, entry(Kind::Directory, 1)).unwrap();
    }
    baseline.save(&file).unwrap();
    assert_eq!(baseline.directories().last(), Some(deep.clone()));
    baseline
        .put(&deep.join(b"f").unwrap(), entry(Kind::File, 1))
        .unwrap();
    baseline.remove(&path("d"));
    assert!(baseline.is_empty());
    assert_eq!(baseline.directory_count(), 1);
}

#[test]
fn a_null_device_is_found_wherever_it_is_recorded_and_not_once_it_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let mut baseline = empty();
    let whiteout = Entry {
        rdev: 0,
        ..entry(Kind::CharDevice, 3)
    };
    baseline.put(&path("d"), entry(Kind::Directory, 2)).unwrap();
    baseline
        .put(&path("d/null"), entry(Kind::CharDevice, 4))
        .unwrap();
    assert_eq!(baseline.null_device(), None);
    baseline.put(&path("d/x"), whiteout).unwrap();
    assert_eq!(baseline.null_device(), Some(path("d/x")));
    baseline.save(&directory.path().join("saved")).unwrap();
    assert_eq!(baseline.null_device(), Some(path("d/x")));
    baseline.remove(&path("d"));
    assert_eq!(baseline.null_device(), None);
}
