//! The clocks of all file systems below a root: what is mounted there, and subvolumes, may have others than the root.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{self, Mode, OFlags};

use crate::clock::Clock;
use crate::entry::Entry;
use crate::error::{Context, Result};
use crate::path::RelPath;
use crate::root::Root;

/// By device. Of those that no directory was met on nothing is known, so what is there proves nothing by its stat.
#[derive(Debug)]
pub(crate) struct Clocks(Mutex<HashMap<u64, Clock>>);

impl Clocks {
    /// Knows that of the root. To be made before the first stat that it judges.
    pub(crate) fn of(root: &Root) -> Result<Self> {
        let clock = Clock::of(root)?;
        let stat = fs::fstat(root.fd()).during("fstat", root.path())?;
        Ok(Self(Mutex::new(HashMap::from([(stat.st_dev, clock)]))))
    }

    /// Tries the clock of the file system that a directory is on, `name` in an open one, if nothing is known of it. Then the
    /// result is true, and the stat that led here was made before the clock was known: it is to be made again.
    pub(crate) fn meet(
        &self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        entry: &Entry,
        path: impl FnOnce() -> Result<RelPath>,
    ) -> Result<bool> {
        if self.lock().contains_key(&entry.dev) {
            return Ok(false);
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // Whatever the reason that it cannot be opened, or tried: nothing is known then, which is always right.
        let Ok(directory) = fs::openat(parent, name, flags, Mode::empty()) else {
            return Ok(false);
        };
        let path = path()?;
        // Another one may have its name by now.
        let device = fs::fstat(&directory).during("fstat", &path)?.st_dev;
        let clock = Clock::at(directory.as_fd(), path.as_bytes()).unwrap_or(Clock::UNKNOWN);
        // The first that was tried is the one that all stats to be judged come after.
        self.lock().entry(device).or_insert(clock);
        Ok(device == entry.dev)
    }

    /// What is known of the clock that stamped an entry.
    pub(crate) fn clock_of(&self, entry: &Entry) -> Option<Clock> {
        self.lock().get(&entry.dev).copied()
    }

    /// Whether equal evidence will prove nothing about this entry.
    pub(crate) fn is_racy(&self, entry: &Entry) -> bool {
        self.clock_of(entry)
            .is_none_or(|clock| clock.is_racy(entry))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Clock>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
