//! Who did it: the processes that touched the tree in a step, and what they are. Kept only when asked for.
//!
//! An event has the number of its process, which may be gone when it is read, and its number another's. So what a process
//! is comes from what cannot be another's: from the events of the programs it started, and from a look at it while it
//! lives, by a descriptor. Both stand for its number, and [`numbers`] says whether that was one process throughout.

mod executions;
mod looks;
mod numbers;
mod room;
mod touches;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::baseline::Baseline;
use crate::change::ChangeSet;
use crate::error::Result;
use crate::fanotify::event::Event;
use crate::handle::Inode;
use crate::path::RelPath;
use executions::{Executions, Started};
use looks::{Look, look, start_time};
use numbers::Numbers;
use room::Room;
use touches::Touches;

/// Programs of one process that are kept, the first ones.
const PROGRAMS: usize = 64;

/// Processes that are kept before those are forgotten that have ended and touched nothing.
const CROWD: usize = 1 << 14;

/// Hears who does what, step after step.
#[derive(Debug)]
pub(super) struct Recorder {
    numbers: Numbers,
    executions: Executions,
    step: Step,
}

/// What is heard of in one step.
#[derive(Debug, Default)]
struct Step {
    touches: Touches,
    people: HashMap<i32, Person>,
    /// Those to look at, for something about them is new.
    new: BTreeSet<i32>,
    /// Those who had ended and touched nothing at the last drain. What they had done was queued by then.
    ended: Vec<i32>,
    /// So many people are not searched for some who have ended.
    crowd: usize,
    room: Room,
}

/// One number, and what is known of who has it.
#[derive(Debug, Default)]
struct Person {
    started: Vec<Arc<[u8]>>,
    look: Option<Look>,
    has_touched: bool,
}

impl Recorder {
    /// Begins to record. `places`: absolute paths on the file systems whose programs are to be heard of.
    pub(super) fn begin(places: &[Vec<u8>]) -> Result<Self> {
        Ok(Self {
            numbers: Numbers::now()?,
            executions: Executions::hear(places)?,
            step: Step::default(),
        })
    }

    /// Takes note of an event of the tree's file system. `is_known`: whether the baseline may have an inode.
    pub(super) fn note(&mut self, event: &Event<'_>, is_known: impl FnMut(Inode) -> bool) {
        let step = &mut self.step;
        if step.touches.note(event, &mut step.room, is_known) {
            step.touched(event.pid);
        }
    }

    /// Hears who started what, and looks at those who are new. After the events of the tree were read.
    pub(super) fn drain(&mut self) -> Result<()> {
        self.numbers.follow()?;
        for started in self.executions.read()? {
            self.step.started(started);
        }
        self.step.look();
        self.step.forget_who_ended();
        Ok(())
    }

    /// What happened in this step; the next one begins.
    pub(super) fn take(&mut self) -> Result<Record> {
        self.drain()?;
        let may_repeat = self.numbers.may_repeat()?;
        let step = std::mem::take(&mut self.step);
        let mut processes = BTreeMap::new();
        for (pid, person) in step.people {
            if person.has_touched {
                let is_one = !may_repeat && self.numbers.is_still_there(pid);
                let was_there = self.numbers.was_there(pid);
                processes.insert(pid, person.tell(pid, is_one, was_there));
            }
        }
        self.numbers = Numbers::now()?;
        Ok(Record {
            processes,
            touches: step.touches,
            is_complete: step.room.is_enough,
            unheard: self.executions.unheard.clone(),
        })
    }

    /// Forgets what was heard of: it is accounted for.
    pub(super) fn forget(&mut self) -> Result<()> {
        self.take().map(drop)
    }
}

impl Step {
    fn person(&mut self, pid: i32) -> Option<&mut Person> {
        if !self.people.contains_key(&pid) {
            if !self.room.take() {
                return None;
            }
            self.new.insert(pid);
        }
        Some(self.people.entry(pid).or_default())
    }

    fn touched(&mut self, pid: i32) {
        if let Some(person) = self.person(pid) {
            person.has_touched = true;
        }
    }

    fn started(&mut self, started: Option<Started>) {
        let Some(Started { pid, path }) = started else {
            self.room.is_enough = false;
            return;
        };
        let mut room = self.room;
        let Some(person) = self.person(pid) else {
            return;
        };
        if person.started.last() == Some(&path) {
            // Told twice, since something else came in between.
        } else if person.started.len() < PROGRAMS && room.take() {
            person.started.push(path);
        } else {
            room.is_enough = false;
        }
        self.room = room;
        self.new.insert(pid);
    }

    fn look(&mut self) {
        for pid in std::mem::take(&mut self.new) {
            if let (Some(seen), Some(person)) = (look(pid), self.people.get_mut(&pid)) {
                person.look = Some(seen);
            }
        }
    }

    /// Everybody on the machine starts programs; few of them touch the tree.
    fn forget_who_ended(&mut self) {
        for pid in std::mem::take(&mut self.ended) {
            let idle = self.people.get(&pid).filter(|person| !person.has_touched);
            if let Some(person) = idle {
                self.room.give(1 + person.started.len());
                self.people.remove(&pid);
            }
        }
        if self.people.len() > self.crowd.max(CROWD) {
            let idle = self.people.iter().filter(|(_, person)| !person.has_touched);
            let ended = idle.filter(|&(&pid, _)| start_time(pid).is_none());
            self.ended = ended.map(|(&pid, _)| pid).collect();
            self.crowd = 2 * (self.people.len() - self.ended.len());
        }
    }
}

impl Person {
    /// `is_one`: the number was that of one process throughout. `was_there`: before the step, too.
    fn tell(self, pid: i32, is_one: bool, was_there: bool) -> Process {
        let unknown = |state| Process {
            programs: Vec::new(),
            arguments: None,
            state,
        };
        if pid == 0 {
            return unknown(State::Hidden);
        }
        if !is_one {
            return unknown(State::Ambiguous);
        }
        let mut programs: Vec<Vec<u8>> = self.started.iter().map(|path| path.to_vec()).collect();
        let Some(look) = self.look else {
            let state = if programs.is_empty() {
                State::Ended
            } else {
                State::Started
            };
            return Process {
                programs,
                arguments: None,
                state,
            };
        };
        let Some(program) = look.program else {
            return unknown(State::Kernel);
        };
        // Who was seen between its birth and its first program is not told by that of its parent.
        if (was_there || programs.is_empty()) && !programs.contains(&program) {
            programs.insert(0, program.clone());
        }
        Process {
            arguments: programs.contains(&program).then_some(look.arguments),
            programs,
            state: State::Seen,
        }
    }
}

/// What is known of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It was looked at while it lived.
    Seen,
    /// It had ended before it could be looked at; it was heard of when it started its programs.
    Started,
    /// It had ended before it could be looked at, and had started no program since it was born: it was a part of the one
    /// that its parent ran.
    Ended,
    /// A thread of the kernel.
    Kernel,
    /// Its number may have been that of two processes, one after the other.
    Ambiguous,
    /// It is in another PID namespace, and has no number in ours.
    Hidden,
}

/// A process that touched the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// The files that it executed, in order: each program, the interpreter of a script, the loader. Absolute paths as they
    /// are for us; a name alone where the directory is gone or out of our sight.
    pub programs: Vec<Vec<u8>>,
    /// The words of the one that it was last seen with, as it showed them; `None` if it was not.
    pub arguments: Option<Vec<Vec<u8>>>,
    /// What all that rests on.
    pub state: State,
}

/// Who did what in one step.
#[derive(Debug)]
pub struct Record {
    /// By number, in the PID namespace of the builder. 0 stands for all that have none there.
    pub processes: BTreeMap<i32, Process>,
    /// Whether nothing was left out for want of room.
    pub is_complete: bool,
    /// Places on file systems from which programs start unheard.
    pub unheard: Vec<Vec<u8>>,
    touches: Touches,
}

impl Record {
    /// The processes that touched each changed path. `baseline` is the one that `changes` are relative to.
    ///
    /// What came with a directory that was moved into the tree is its mover's.
    pub fn attribute(
        &self,
        baseline: &Baseline,
        changes: &ChangeSet,
    ) -> BTreeMap<RelPath, BTreeSet<i32>> {
        self.touches.resolve(baseline, changes)
    }
}
