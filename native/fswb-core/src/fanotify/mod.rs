//! One fanotify mark on the file system that holds a root file system.
//!
//! It costs the same however large the tree is, and it names inodes: a write through a hard link is seen whatever name was
//! used. Why no change is missed is argued in `fswatch_builder/tracking/README.md`. The rules this module must keep for
//! it: every number in an event is looked up among *all* inodes of the baseline that was in force when it happened; what
//! cannot be read is a loss; what the mark does not reach is a loss at every settle.

mod event;
mod gathered;
mod group;
mod heat;
mod processes;
mod storm;
#[cfg(test)]
mod tests;

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps};

use crate::baseline::Baseline;
use crate::change::ChangeSet;
use crate::error::{Context, Error, Result};
use crate::handle::inode_of;
use crate::hint::{HintSet, LossReason};
use crate::path::RelPath;
use crate::reader::{Reader, Source};
use crate::root::Root;
use event::parse;
use gathered::{Gathered, Sieve};
use group::Group;
pub use group::Queue;
use heat::Heat;
use processes::Recorder;
pub use processes::{Process, Record, State as ProcessState};
use storm::LOOKS;

/// Bytes per read: about 700 events with short names.
const BUFFER: usize = 64 * 1024;

/// Events that may wait to be read, see [`Marked::arm`]. A queue without a limit grows as long as more is done than is read:
/// 400 busy processes on two processors left the reader so little time that it grew by 650 MB in a minute. With this bound
/// it were 270 MB, and no more after.
pub const BACKLOG: u64 = 1 << 20;

/// Buffers read before it is asked again how many events wait: meanwhile a reader without time may fall behind as far as ever.
/// The kernel counts them one by one.
const ROUNDS: usize = 64;

/// Directories whose handles are checked on arming, beside the root.
const SAMPLE: usize = 16;

/// A marked file system, and the thread that reads the events.
#[derive(Debug)]
pub struct Marked {
    reader: Reader<State>,
}

#[derive(Debug)]
struct State {
    group: Group,
    sieve: Sieve,
    gathered: Gathered,
    heat: Heat,
    /// The topmost directories and files on other devices, where the mark does not reach.
    elsewhere: Vec<RelPath>,
    buffer: Vec<u8>,
    events: u64,
    /// How many may wait.
    backlog: u64,
    /// There were more, and the kernel was asked to tell of nothing more until the next advance.
    deaf: bool,
    /// There if asked for.
    recorder: Option<Recorder>,
    /// Of the last settle.
    record: Option<Record>,
}

impl Marked {
    /// Marks the file system of `root`. In force on return.
    ///
    /// `Error::Refused` if inode numbers cannot be read from the file handles of this file system.
    ///
    /// `programs`: that processes are recorded, and absolute paths on the file systems whose programs are to be heard of,
    /// see [`Self::take_record`]. The kernel tells who did something to CAP_SYS_ADMIN in the initial user namespace alone.
    ///
    /// `backlog`: if more events wait to be read, the kernel is asked to tell of nothing more until [`Self::advance`], and the
    /// root is lost up to there ([`LossReason::Flood`]): a command must not fill the memory with what it does.
    pub fn arm(
        root: &Root,
        baseline: &Baseline,
        queue: Queue,
        backlog: u64,
        programs: Option<&[Vec<u8>]>,
    ) -> Result<Self> {
        let mut group = Group::new(queue)?;
        let subvolume = check_handles(root, baseline)?;
        let recorder = programs.map(Recorder::begin).transpose()?;
        group.mark(root)?;
        let state = State {
            group,
            sieve: Sieve::new(baseline.inodes(), subvolume),
            gathered: Gathered::default(),
            heat: Heat::new(baseline.len()),
            elsewhere: baseline.on_other_devices(),
            buffer: vec![0; BUFFER],
            events: 0,
            backlog,
            deaf: false,
            recorder,
            record: None,
        };
        Ok(Self {
            reader: Reader::start(state, "fanotify-reader")?,
        })
    }

    /// Every hint and loss since [`Self::arm`], [`Self::advance`] or the last call. Covers all changes made before.
    ///
    /// `baseline` is the one that was given to the last of the former two.
    pub fn settle(&self, baseline: &Baseline) -> Result<HintSet> {
        let (gathered, elsewhere) = self.reader.with(|state| {
            state.read()?;
            state.record = state.recorder.as_mut().map(Recorder::take).transpose()?;
            state
                .sieve
                .hint_muted(state.heat.muted(), &mut state.gathered);
            if state.heat.is_silent() {
                state.gathered.lose(LossReason::WriteStorm);
            }
            if state.deaf {
                state.gathered.lose(LossReason::Flood);
                state
                    .record
                    .iter_mut()
                    .for_each(|record| record.is_complete = false);
            }
            let gathered = std::mem::take(&mut state.gathered);
            Ok((gathered, state.elsewhere.clone()))
        })?;
        let mut hints = gathered.resolve(baseline);
        for place in elsewhere {
            hints.lose(LossReason::OtherDevice, place);
        }
        Ok(hints)
    }

    /// Goes on with a new baseline, of which `changes` have become part. Events up to here are accounted for by them.
    pub fn advance(&self, baseline: &Baseline, changes: &ChangeSet) -> Result<()> {
        let elsewhere = baseline.on_other_devices();
        let entries = baseline.len();
        self.reader.with(|state| {
            if state.deaf {
                state.group.tell_of_changes()?;
                state.deaf = false;
            }
            if state.heat.is_silent() {
                state.group.tell_of_modifications()?;
            }
            state.group.unmute_all()?;
            state.heat = Heat::new(entries);
            state.read()?;
            // What was read now is accounted for.
            state.heat = Heat::new(entries);
            state.gathered = Gathered::default();
            if let Some(recorder) = &mut state.recorder {
                recorder.forget()?;
            }
            state.sieve.update(|inodes| inodes.extend(changes));
            state.elsewhere = elsewhere;
            Ok(())
        })
    }

    /// Which processes touched what, up to the last [`Self::settle`]; `None` if it was not asked for on arming, or was
    /// taken already.
    pub fn take_record(&self) -> Result<Option<Record>> {
        self.reader.with(|state| Ok(state.record.take()))
    }

    /// Stops reading until [`Self::resume`], so that a test can fill the kernel's queue. [`Self::settle`] still reads.
    pub fn pause(&self) {
        self.reader.pause();
    }

    /// Ends a pause.
    pub fn resume(&self) {
        self.reader.resume();
    }

    /// Ends watching. A second call does nothing.
    pub fn close(&self) {
        self.reader.close();
    }

    /// Number of events read so far, those about other files of the file system too.
    pub fn events(&self) -> Result<u64> {
        self.reader.with(|state| Ok(state.events))
    }

    /// The queue it got.
    pub fn queue(&self) -> Result<Queue> {
        self.reader.with(|state| Ok(state.group.queue))
    }
}

impl State {
    /// Events are queued by the system call that makes the change, before it returns. What comes while we read is left: a
    /// busy writer cannot keep us here.
    fn read(&mut self) -> Result<u64> {
        let queued = self.group.queued()?;
        self.give_up_beyond_backlog(queued);
        let mut read = 0;
        for round in 1.. {
            if read >= queued {
                break;
            }
            let length = self.group.read(&mut self.buffer)?;
            if length == 0 {
                break;
            }
            if round % ROUNDS == 0 {
                let waiting = self.group.queued()?;
                self.give_up_beyond_backlog(waiting);
            }
            for event in parse(&self.buffer[..length]) {
                read += 1;
                match event {
                    Some(event) => {
                        self.sieve.pass(&event, &mut self.gathered);
                        match &mut self.recorder {
                            Some(recorder) => {
                                recorder.note(&event, |inode| self.sieve.knows(inode))
                            }
                            None => {
                                self.heat.note(&event, || self.sieve.concerns(&event));
                            }
                        }
                    }
                    None => self.gathered.lose(LossReason::UnreadableEvent),
                }
            }
        }
        self.events += read;
        Ok(read)
    }

    /// Looks whether files are written to without end. Returns how many events it read.
    fn follow_heat(&mut self) -> Result<u64> {
        let mut read = 0;
        if self.heat.is_warm() {
            for _ in 0..LOOKS {
                self.heat.looked();
                read += self.read()?;
            }
        }
        self.heat.drained(&self.group);
        if let Some(file) = self.heat.listen(&self.group) {
            for _ in 0..LOOKS {
                read += self.read()?;
            }
            self.heat.listened(&self.group, &file);
        }
        if !self.heat.is_silent() {
            self.heat.weigh(&self.group);
        }
        Ok(read)
    }

    /// If the kernel cannot be asked to be silent, the events go on, which is always right.
    fn give_up_beyond_backlog(&mut self, waiting: u64) {
        self.deaf |= waiting > self.backlog && self.group.tell_of_no_change().is_ok();
    }
}

impl Source for State {
    fn drain(&mut self) -> Result<u64> {
        let mut read = self.read()?;
        if !self.deaf {
            read += self.follow_heat()?;
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.drain()?;
        }
        Ok(read)
    }
}

/// Whether [`Marked::arm`] would work: makes one harmless event on the root directory and looks for it.
///
/// The root directory's times are set to what they are. That raises `FAN_ATTRIB` on the very file system in question,
/// needs no scratch file, and changes nothing but the root's ctime, which is no change (and no user can set back).
pub fn probe(root: &Root) -> Result<Queue> {
    let mut group = Group::new(Queue::Unlimited)?;
    group.mark(root)?;
    let own = inode_of(root.fd(), &RelPath::ROOT)?;
    let stat = rustix::fs::fstat(root.fd()).during("fstat", root.path())?;
    let time = |seconds: i64, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds as _,
    };
    let times = Timestamps {
        last_access: time(stat.st_atime as i64, stat.st_atime_nsec as u64),
        last_modification: time(stat.st_mtime as i64, stat.st_mtime_nsec as u64),
    };
    rustix::fs::utimensat(root.fd(), ".", &times, AtFlags::empty())
        .during("utimensat", root.path())?;
    let mut buffer = vec![0; BUFFER];
    let queued = group.queued()?;
    let mut read = 0;
    while read < queued {
        let length = group.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        for event in parse(&buffer[..length]).flatten() {
            read += 1;
            let place = event.place.map(|place| place.directory);
            let mut handles = event.target.into_iter().chain(place);
            let is_attrib = event.mask & libc::FAN_ATTRIB != 0;
            if is_attrib && handles.any(|handle| handle.inode() == Some(own)) {
                return Ok(group.queue);
            }
        }
    }
    Err(Error::refused(
        root.path(),
        "the file system reports no events",
    ))
}

/// Checks that handles tell inode numbers here; returns the subvolume of the root.
fn check_handles(root: &Root, baseline: &Baseline) -> Result<u64> {
    let own = inode_of(root.fd(), &RelPath::ROOT)?;
    let device = rustix::fs::fstat(root.fd())
        .during("fstat", root.path())?
        .st_dev;
    for path in baseline.directories().skip(1).take(SAMPLE) {
        let opened = root.open_exact(&path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty());
        let opened = match opened {
            // Gone since the baseline was taken, or no directory any more: that is for the caller to find.
            Err(error) if error.is_absent() || error.is_link() => continue,
            opened => opened?,
        };
        let stat = rustix::fs::fstat(&opened).during("fstat", &path)?;
        if stat.st_dev == device {
            inode_of(opened.as_fd(), &path)?;
        }
    }
    Ok(own.subvolume)
}
