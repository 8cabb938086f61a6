//! What was read of a build context before: the digests of files that nobody has touched since.
//!
//! That an equal stat proves an equal content is the claim of `fswatch_builder/index/CLOCK.md`, for a tree that nobody else
//! has open. A build context is somebody's to work in. So a file is learned only if, after the stat and before it is
//! read, nobody has it open for writing: then no write is under way whose stamp was set at its beginning, and there is
//! no mapping to store into without one. Whoever opens it later moves its ctime with the first byte.

use std::collections::HashMap;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::io::Errno;

use super::saved::{self, Record, Saved, content_of, ino_of, record, stat_of};
use crate::clock::Clock;
use crate::copy::walk::look;
use crate::entry::{Entry, Sha256};
use crate::error::{Error, Result};
use crate::mounted;
use crate::opening::nobody_writes;
use crate::path::RelPath;
use crate::root::Root;

/// What is known of the files of one context, and what is learned while it is read. For any number of threads.
#[derive(Debug)]
pub struct Known {
    /// Files on other file systems are read each time.
    device: u64,
    /// `None`: nothing can be learned here.
    identity: Option<Sha256>,
    before: Option<Saved>,
    /// Only for a file that has to be read: making one is a write to a nameless file, of which whoever watches the
    /// directory hears. A build that is started by every change there would start the next one.
    clock: OnceLock<Option<Clock>>,
    /// By inode number.
    learned: Mutex<HashMap<u64, Record>>,
}

impl Known {
    /// Of the context `root`; `saved` is what [`Known::save`] wrote.
    ///
    /// `Refused` for a file that holds anything else.
    pub fn open(root: &Root, saved: Option<&Path>) -> Result<Self> {
        let gone = || Error::system("statx", root.path(), Errno::NOENT);
        let device = root.entry(&RelPath::ROOT)?.ok_or_else(gone)?.dev;
        let identity = mounted::identity(root);
        let before = saved.map(Saved::read).transpose()?;
        Ok(Self {
            device,
            identity,
            before: before.filter(|before| identity.is_some_and(|here| before.is_of(&here))),
            clock: OnceLock::new(),
            learned: Mutex::default(),
        })
    }

    /// The digest of a file of the context `root` that was read before and not touched since. It has no attributes.
    pub(super) fn digest(&self, root: &Root, entry: &Entry) -> Option<Sha256> {
        if entry.dev != self.device || self.identity.is_none() {
            return None;
        }
        let stat = stat_of(entry);
        let before = self.before.as_ref().and_then(|before| before.find(&stat));
        let known = before.or_else(|| content_of(self.lock().get(&entry.ino)?, &stat));
        if known.is_none() {
            // On a full disk, or where nothing may be written, there is none.
            self.clock.get_or_init(|| Clock::of(root).ok());
        }
        known
    }

    /// Whether what is read of this open file now is what any later file with the same stat as `entry` holds. Another
    /// file may have taken its name since that was stat'ed.
    pub(super) fn can_learn(
        &self,
        entry: &Entry,
        file: BorrowedFd<'_>,
        path: &RelPath,
    ) -> Result<bool> {
        let Some(Some(clock)) = self.clock.get() else {
            return Ok(false);
        };
        // Of two stats the clock judges this one: it was made before.
        let Some(opened) = look(file, b"", path)? else {
            return Ok(false);
        };
        let opened = opened.entry;
        let is_same = opened.dev == self.device && stat_of(&opened) == stat_of(entry);
        Ok(is_same && !clock.is_racy(&opened) && nobody_writes(file))
    }

    /// Takes note of a file without attributes.
    pub(super) fn learn(&self, entry: &Entry, content: Sha256) {
        let record = record(&stat_of(entry), &content);
        self.lock().insert(entry.ino, record);
    }

    /// How many files were learned.
    pub fn learned(&self) -> usize {
        self.lock().len()
    }

    /// Writes all that is known now to the new file `path`: what was learned, and what was known before. Of that, files
    /// which were not met again (another Dockerfile may take them) are left out when they are the most.
    pub fn save(&self, path: &Path) -> Result<()> {
        let learned = self.lock();
        let (mut records, mut others) = self.before.as_ref().map(Saved::by_use).unwrap_or_default();
        for records in [&mut records, &mut others] {
            records.retain(|record| !learned.contains_key(&ino_of(record)));
        }
        records.extend(learned.values());
        if others.len() <= records.len() {
            records.append(&mut others);
        }
        saved::write(path, &self.identity.unwrap_or_default(), &mut records)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Record>> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
