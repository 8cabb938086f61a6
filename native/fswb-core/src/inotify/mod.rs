//! Recursive inotify watches over a root file system: every directory, from the baseline's list.
//!
//! Why no change is missed is argued race by race in `fswatch_builder/tracking/README.md`. The rules this module must
//! keep for it: every directory of the baseline is watched or in [`Unwatched`]; events become hints in the order they are
//! read, under the path their watch had in the baseline; nothing is read outside the lock.

mod event;
mod heat;
mod placing;
mod state;
mod table;

use std::os::fd::BorrowedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::baseline::Baseline;
use crate::change::ChangeSet;
use crate::error::{Context, Error, Result};
use crate::hint::HintSet;
use crate::inotify::state::State;
use crate::root::Root;

/// How long the reader sleeps after it found events.
///
/// It never waits for the events themselves: a wake-up costs the watched command more than the event does (untar 1.40
/// of the unwatched time with a reader in poll(2), 1.10 with one that looks every 5 ms).
const SHORT: Duration = Duration::from_millis(5);
/// How long it sleeps when nothing happens. The kernel keeps 16,384 events, which the fastest producer measured fills in
/// 63 ms; when they overflow all the same, that is a loss like any other.
const LONG: Duration = Duration::from_millis(20);

/// Watches on an inotify descriptor that somebody else owns, and the thread that reads it.
#[derive(Debug)]
pub struct Watches {
    shared: Arc<Shared>,
    reader: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Notified when the reader should stop sleeping.
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> Result<MutexGuard<'_, State>> {
        // A panic while holding the lock may have dropped events: nothing read from here could be trusted.
        self.state
            .lock()
            .map_err(|_| Error::refused("", "the reader of inotify events has failed"))
    }
}

impl Watches {
    /// Works on a duplicate of `inotify`, which must have no other reader. The duplicate shares the open file
    /// description: it becomes non-blocking for both.
    pub fn new(inotify: BorrowedFd<'_>) -> Result<Self> {
        Ok(Self {
            shared: Arc::new(Shared {
                state: Mutex::new(State::new(inotify)?),
                changed: Condvar::new(),
            }),
            reader: Mutex::new(None),
        })
    }

    /// Watches every directory of `baseline`, parents first, but no more than `budget`. In force on return.
    ///
    /// Past the budget or the user's limit of watches the rest of the tree is a loss that every [`Self::settle`] repeats.
    pub fn arm(&self, root: Arc<Root>, baseline: &Baseline, budget: Option<usize>) -> Result<()> {
        let mut reader = self
            .reader
            .lock()
            .map_err(|_| Error::refused("", "arming has failed before"))?;
        if reader.is_some() {
            return Err(Error::refused(root.path(), "the watches are armed already"));
        }
        self.shared.lock()?.arm(root, baseline, budget)?;
        let shared = self.shared.clone();
        let thread = std::thread::Builder::new()
            .name("inotify-reader".to_owned())
            .spawn(move || read_until_closed(&shared))
            .during("clone", "")?;
        *reader = Some(thread);
        Ok(())
    }

    /// Every hint and loss since [`Self::arm`], [`Self::advance`] or the last call. Covers all changes made before.
    pub fn settle(&self) -> Result<HintSet> {
        self.shared.lock()?.settle()
    }

    /// Goes on with a new baseline, of which `changes` have become part. Events up to here are accounted for by them.
    ///
    /// Watches follow directories that were created, moved or deleted. Costs the changes, not the tree, unless there
    /// are unwatched directories and room for more watches.
    pub fn advance(&self, baseline: &Baseline, changes: &ChangeSet) -> Result<()> {
        self.shared.lock()?.advance(baseline, changes)
    }

    /// Stops reading until [`Self::resume`], so that a test can fill the kernel's queue. [`Self::settle`] still reads.
    pub fn pause(&self) -> Result<()> {
        self.shared.lock()?.paused = true;
        Ok(())
    }

    /// Ends a pause.
    pub fn resume(&self) -> Result<()> {
        self.shared.lock()?.paused = false;
        self.shared.changed.notify_all();
        Ok(())
    }

    /// Ends watching: the thread has stopped and the duplicate is closed on return. A second call does nothing.
    pub fn close(&self) {
        // Also after a panic elsewhere: closing trusts nothing in there.
        let mut state = self
            .shared
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        state.close();
        drop(state);
        self.shared.changed.notify_all();
        let reader = self
            .reader
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
        if let Some(thread) = reader {
            // A reader that panicked has poisoned the state, which every other call reports.
            drop(thread.join());
        }
    }

    /// Number of directories watched.
    pub fn count(&self) -> Result<usize> {
        Ok(self.shared.lock()?.count())
    }

    /// Number of events read so far.
    pub fn events(&self) -> Result<u64> {
        Ok(self.shared.lock()?.events)
    }
}

impl Drop for Watches {
    fn drop(&mut self) {
        self.close();
    }
}

fn read_until_closed(shared: &Shared) {
    let mut interval = SHORT;
    // Poisoned: whoever settles next learns of it.
    let Ok(mut state) = shared.state.lock() else {
        return;
    };
    loop {
        let Ok((woken, _)) = shared.changed.wait_timeout(state, interval) else {
            return;
        };
        state = woken;
        if state.is_closed() {
            return;
        }
        if state.paused {
            continue;
        }
        match state.drain() {
            Ok(0) => interval = LONG.min(interval * 2),
            Ok(_) => interval = SHORT,
            Err(error) => {
                state.failed = Some(error);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
