//! Who did it: processes by what they touched, and programs by process. Kept only when asked for.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::baseline::Baseline;
use crate::entry::Kind;
use crate::path::RelPath;

/// Pairs of a place and a process, and of a process and a program, that are kept: about 10 MB.
const LIMIT: usize = 1 << 16;

/// Programs of one process that are kept. One execution opens up to three: a script, its interpreter, the loader.
const PROGRAMS: usize = 32;

/// What was touched or executed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Thing {
    Inode(u64),
    Name(u64, Box<[u8]>),
    /// Not of this tree.
    Foreign,
}

impl Thing {
    fn paths(&self, baseline: &Baseline) -> Vec<RelPath> {
        match self {
            Self::Inode(ino) => baseline.names_with_ino(*ino),
            Self::Name(ino, name) => baseline
                .names_with_ino(*ino)
                .iter()
                .filter(|path| {
                    let directory = baseline.cursor(path).map(|at| at.kind());
                    directory == Some(Kind::Directory)
                })
                .filter_map(|directory| directory.join(name).ok())
                .collect(),
            Self::Foreign => Vec::new(),
        }
    }
}

/// What events said about processes since the last settle.
#[derive(Debug)]
pub(super) struct Recorder {
    touched: HashMap<Thing, BTreeSet<i32>>,
    executed: HashMap<i32, Vec<Thing>>,
    kept: usize,
    complete: bool,
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            touched: HashMap::new(),
            executed: HashMap::new(),
            kept: 0,
            complete: true,
        }
    }
}

impl Recorder {
    pub(super) fn touch(&mut self, thing: Thing, pid: i32) {
        if self.has_room() && self.touched.entry(thing).or_default().insert(pid) {
            self.kept += 1;
        }
    }

    pub(super) fn execute(&mut self, pid: i32, program: Thing) {
        if !self.has_room() {
            return;
        }
        let programs = self.executed.entry(pid).or_default();
        if programs.len() >= PROGRAMS {
            self.complete = false;
        } else if programs.last() != Some(&program) {
            programs.push(program);
            self.kept += 1;
        }
    }

    fn has_room(&mut self) -> bool {
        self.complete &= self.kept < LIMIT;
        self.kept < LIMIT
    }

    pub(super) fn resolve(self, baseline: &Baseline) -> Processes {
        let mut found = Processes {
            complete: self.complete,
            ..Processes::default()
        };
        for (thing, pids) in &self.touched {
            for path in thing.paths(baseline) {
                found.touched.entry(path).or_default().extend(pids);
            }
        }
        let pids: BTreeSet<i32> = found.touched.values().flatten().copied().collect();
        for (pid, programs) in self.executed {
            if pids.contains(&pid) {
                let paths = programs.iter().map(|thing| {
                    let paths = thing.paths(baseline);
                    paths.into_iter().next()
                });
                found.executed.insert(pid, paths.collect());
            }
        }
        found
    }
}

/// Which processes touched what, in one step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Processes {
    /// The processes (thread groups, as numbered in the PID namespace of the builder) that touched a path. 0 stands for
    /// those whose number the kernel does not tell, which is all but our own where the builder is not privileged.
    pub touched: BTreeMap<RelPath, BTreeSet<i32>>,
    /// The files that such a process opened to execute them, in order: program, interpreter, loader. `None` for one that
    /// the tree did not have before the step under a path of its own.
    pub executed: BTreeMap<i32, Vec<Option<RelPath>>>,
    /// Whether nothing was left out for want of room.
    pub complete: bool,
}
