//! What the reader and its callers share: the watches, and the hints that events became.

use std::collections::{BTreeSet, HashMap};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::OFlags;
use rustix::fs::inotify::{self, ReadFlags};
use rustix::io::Errno;

use crate::baseline::Baseline;
use crate::change::ChangeSet;
use crate::entry::{Entry, Kind};
use crate::error::{Context, Error, Result};
use crate::hint::{HintSet, LossReason, Scope};
use crate::inotify::event::{Event, parse};
use crate::inotify::heat::{Heat, Hot};
use crate::inotify::placing::{Placed, Placer};
use crate::inotify::table::{Table, Unwatched};
use crate::path::RelPath;
use crate::root::Root;

/// Bytes per read: about 1,000 events with short names. The kernel fills it in one call.
const BUFFER: usize = 64 * 1024;

/// A name that came, went or is another inode now: its directory has a new mtime.
const DIRECTORY_CHANGED: ReadFlags = ReadFlags::CREATE
    .union(ReadFlags::DELETE)
    .union(ReadFlags::MOVED_FROM)
    .union(ReadFlags::MOVED_TO);

/// Names in one directory that are hinted at one by one. A command that makes and removes files under ever new names must
/// not fill the memory with them: beyond this many, the directory is looked at whole.
pub(super) const CROWD: usize = 4096;

#[derive(Debug)]
pub(super) struct State {
    /// `None` once closed.
    inotify: Option<OwnedFd>,
    placer: Option<Placer>,
    budget: usize,
    pub(super) table: Table,
    pub(super) unwatched: Unwatched,
    heat: Heat,
    /// Watches that do not report `MODIFY` until the next advance. All entries of their directories are hinted at.
    pub(super) muted: BTreeSet<i32>,
    /// Watches that fell on directories made during the RUN, and were removed at once.
    pub(super) strays: BTreeSet<i32>,
    /// Directories whose watch the kernel ended since the last advance. Most are deleted; the others are watched anew.
    ended: Vec<Arc<RelPath>>,
    pending: HintSet,
    /// The newest hint, to skip the next event if it says the same: creating, writing and closing a file are three.
    newest: Option<(i32, Vec<u8>, Scope)>,
    /// How many hints there are for names in a directory, by its watch: of entries, and of new directories.
    names: HashMap<i32, [usize; 2]>,
    buffer: Vec<u8>,
    pub(super) events: u64,
    pub(super) paused: bool,
    /// Why the reader stopped, if it had to.
    pub(super) failed: Option<Error>,
}

impl State {
    pub(super) fn new(inotify: BorrowedFd<'_>) -> Result<Self> {
        let inotify = rustix::io::fcntl_dupfd_cloexec(inotify, 3).during("fcntl", "")?;
        let flags = rustix::fs::fcntl_getfl(&inotify).during("fcntl", "")?;
        rustix::fs::fcntl_setfl(&inotify, flags | OFlags::NONBLOCK).during("fcntl", "")?;
        Ok(Self {
            inotify: Some(inotify),
            placer: None,
            budget: usize::MAX,
            table: Table::default(),
            unwatched: Unwatched::default(),
            heat: Heat::default(),
            muted: BTreeSet::new(),
            strays: BTreeSet::new(),
            ended: Vec::new(),
            pending: HintSet::default(),
            newest: None,
            names: HashMap::new(),
            buffer: vec![0; BUFFER],
            events: 0,
            paused: false,
            failed: None,
        })
    }

    pub(super) fn close(&mut self) {
        self.inotify = None;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.inotify.is_none()
    }

    pub(super) fn count(&self) -> usize {
        self.table.len()
    }

    pub(super) fn arm(
        &mut self,
        root: Arc<Root>,
        baseline: &Baseline,
        budget: Option<usize>,
    ) -> Result<()> {
        self.budget = budget.unwrap_or(usize::MAX);
        let placer = Placer::new(root)?;
        self.watch_all(&placer, baseline.directories())?;
        self.placer = Some(placer);
        Ok(())
    }

    pub(super) fn settle(&mut self) -> Result<HintSet> {
        self.read()?;
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.newest = None;
        self.names.clear();
        let mut hints = std::mem::take(&mut self.pending);
        for directory in self.muted.iter().filter_map(|&wd| self.table.path(wd)) {
            hints.add((**directory).clone(), Scope::Children);
        }
        for (directory, reason) in self.unwatched.iter() {
            hints.lose(reason, directory.clone());
        }
        Ok(hints)
    }

    pub(super) fn advance(&mut self, baseline: &Baseline, changes: &ChangeSet) -> Result<()> {
        self.settle()?;
        let mut orphans = Vec::new();
        for change in &changes.changes {
            let was = is_directory(change.before.as_deref());
            if was && !is_directory(change.after.as_deref()) {
                orphans.extend(self.table.take_within(&change.path));
                self.unwatched.remove_within(&change.path);
            }
        }
        let changed = changes.changes.iter();
        let changed = changed.map(|change| (&change.path, change.after.as_deref()));
        let refreshed = changes.refreshed.iter();
        let refreshed = refreshed.map(|(path, entry)| (path, Some(&**entry)));
        // Every directory that was looked at, even if it seems the same: one that was removed and made anew may have its
        // inode number again (ext4 does that), but not its watch. Adding a watch that is there already changes nothing.
        let mut wanted: Vec<Arc<RelPath>> = changed
            .chain(refreshed)
            .filter(|(_, entry)| is_directory(*entry))
            .map(|(path, _)| Arc::new(path.clone()))
            .collect();
        for path in std::mem::take(&mut self.ended) {
            if !self.table.has_path(&path) && is_directory(baseline.entry(&path).as_ref()) {
                wanted.push(path);
            }
        }
        self.with_placer(|state, placer| {
            for path in wanted {
                orphans.extend(state.watch(placer, path)?);
            }
            for wd in std::mem::take(&mut state.muted) {
                if let Some(path) = state.table.path(wd).cloned() {
                    orphans.extend(state.watch(placer, path)?);
                }
            }
            state.release(orphans)?;
            state.watch_more(placer, baseline)
        })
    }

    fn with_placer(&mut self, work: impl FnOnce(&mut Self, &Placer) -> Result<()>) -> Result<()> {
        let Some(placer) = self.placer.take() else {
            return Err(Error::refused("", "the watches are not armed"));
        };
        let result = work(self, &placer);
        self.placer = Some(placer);
        result
    }

    /// Watches one directory; returns the descriptor it had, if that was another one.
    fn watch(&mut self, placer: &Placer, path: Arc<RelPath>) -> Result<Option<i32>> {
        if self.unwatched.covers(&path) {
            return Ok(None);
        }
        let placed = if self.table.len() >= self.budget && !self.table.has_path(&path) {
            Placed::Full
        } else {
            let mut buffer = Vec::new();
            placer.place(open(&self.inotify)?, &path, &mut buffer)?
        };
        Ok(self.record(path, placed))
    }

    fn record(&mut self, path: Arc<RelPath>, placed: Placed) -> Option<i32> {
        match placed {
            Placed::Watched(wd) => self.table.set(path, wd),
            Placed::Full => {
                self.unwatched.add(&path, LossReason::WatchLimit);
                None
            }
            // Gone since the baseline was taken, before its parent was watched perhaps: the hint is due.
            Placed::Absent => {
                self.pending.add((*path).clone(), Scope::Subtree);
                None
            }
        }
    }

    fn watch_all(
        &mut self,
        placer: &Placer,
        directories: impl Iterator<Item = RelPath>,
    ) -> Result<()> {
        let paths: Vec<_> = directories.map(Arc::new).collect();
        let room = self.budget.saturating_sub(self.table.len());
        let (within, beyond) = paths.split_at(paths.len().min(room));
        let placed = placer.place_all(open(&self.inotify)?, within)?;
        let mut watched = Vec::with_capacity(within.len());
        for (path, placed) in within.iter().zip(placed) {
            if let Placed::Watched(wd) = placed {
                watched.push((path.clone(), wd));
            } else {
                self.record(path.clone(), placed);
            }
        }
        for twin in self.table.extend(watched) {
            self.unwatched.add(&twin, LossReason::SharedWatch);
        }
        for path in beyond {
            self.unwatched.add(path, LossReason::WatchLimit);
        }
        Ok(())
    }

    /// Tries the unwatched directories again, if the first of them finds room.
    fn watch_more(&mut self, placer: &Placer, baseline: &Baseline) -> Result<()> {
        let Some(first) = self.unwatched.first_for_want_of_watches().cloned() else {
            return Ok(());
        };
        if self.table.len() >= self.budget {
            return Ok(());
        }
        let placed = placer.place(open(&self.inotify)?, &first, &mut Vec::new())?;
        if placed == Placed::Full {
            return Ok(());
        }
        self.record(Arc::new(first), placed);
        let unwatched = self.unwatched.take_for_want_of_watches();
        let below = baseline
            .directories()
            .filter(|directory| unwatched.covers(directory) && !self.table.has_path(directory));
        let below: Vec<_> = below.collect();
        self.watch_all(placer, below.into_iter())
    }

    /// Removes the watches of directories that left the tree, but not those that were found again at another place.
    fn release(&mut self, orphans: Vec<i32>) -> Result<()> {
        for wd in orphans {
            if self.table.has_watch(wd) {
                continue;
            }
            match inotify::remove_watch(open(&self.inotify)?, wd) {
                // EINVAL: the kernel removed it with its directory.
                Ok(()) | Err(Errno::INVAL) => {}
                Err(errno) => return Err(Error::system("inotify_rm_watch", "", errno)),
            }
        }
        Ok(())
    }

    /// For the reader, while the RUN runs: reads what is queued, and stops asking for what comes too often. Returns how
    /// many bytes were read.
    pub(super) fn drain(&mut self) -> Result<usize> {
        let read = self.read()?;
        for hot in self.heat.drained() {
            self.mute(hot)?;
        }
        Ok(read)
    }

    /// Goes without `MODIFY` for a directory: whatever it would tell of is an entry of that directory, and all of them will
    /// be looked at.
    fn mute(&mut self, hot: Hot) -> Result<()> {
        let (Some(placer), Some(path)) = (&self.placer, self.table.path(hot.wd)) else {
            return Ok(());
        };
        let inotify = open(&self.inotify)?;
        let Some(wd) = placer.place_without_modify(inotify, path, hot.entries)? else {
            return Ok(());
        };
        // The path may lead to another directory by now: the descriptor tells whose mask was changed.
        if let Some(directory) = self.table.path(wd).cloned() {
            self.pending.add((*directory).clone(), Scope::Children);
            self.pending.thin_out(&directory);
            self.muted.insert(wd);
            return Ok(());
        }
        // It was not watched, so it came in during the RUN and is covered by the hint of that.
        self.strays.insert(wd);
        self.release(vec![wd])
    }

    /// Reads all events queued up to now and turns them into hints; returns how many bytes.
    ///
    /// Events are queued by the system call that makes the change, before it returns. What comes while we read is left:
    /// a busy writer cannot keep us here.
    fn read(&mut self) -> Result<usize> {
        self.newest = None;
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = self.read_into(&mut buffer);
        self.buffer = buffer;
        result
    }

    fn read_into(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let queued = rustix::io::ioctl_fionread(open(&self.inotify)?).during("ioctl", "")?;
        let queued = usize::try_from(queued).unwrap_or(usize::MAX);
        let mut total = 0;
        while total < queued {
            match rustix::io::read(open(&self.inotify)?, &mut *buffer) {
                Ok(length) => {
                    for event in parse(&buffer[..length]) {
                        self.translate(event)?;
                    }
                    total += length;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    let reason = "somebody else reads events from this inotify descriptor";
                    return Err(Error::refused("", reason));
                }
                Err(errno) => return Err(Error::system("read", "", errno)),
            }
        }
        Ok(total)
    }

    fn translate(&mut self, event: Event<'_>) -> Result<()> {
        self.events += 1;
        if event.mask.contains(ReadFlags::QUEUE_OVERFLOW) {
            self.pending.lose(LossReason::QueueOverflow, RelPath::ROOT);
            return Ok(());
        }
        let Some(directory) = self.table.path(event.wd).cloned() else {
            // The end of a watch that we removed ourselves is no news, and always its last event: the kernel hands out
            // descriptors in a cycle of 2^31, so it is not the end of a newer one.
            let ended = event.mask.contains(ReadFlags::IGNORED);
            let is_stray = if ended {
                self.strays.remove(&event.wd)
            } else {
                self.strays.contains(&event.wd)
            };
            if !ended && !is_stray {
                self.pending.lose(LossReason::UnknownWatch, RelPath::ROOT);
            }
            return Ok(());
        };
        if event.mask.contains(ReadFlags::UNMOUNT) {
            let directory = (*directory).clone();
            self.pending.lose(LossReason::Unmounted, directory);
        } else if event.mask.contains(ReadFlags::IGNORED) {
            // The directory was deleted, else we do not know why, and it must be looked at whole.
            self.pending.add((*directory).clone(), Scope::Subtree);
            self.table.forget(event.wd);
            self.ended.push(directory);
        } else {
            self.hint(&directory, event)?;
        }
        Ok(())
    }

    fn hint(&mut self, directory: &RelPath, event: Event<'_>) -> Result<()> {
        let arrived = ReadFlags::CREATE | ReadFlags::MOVED_TO;
        let is_new_directory =
            event.mask.contains(ReadFlags::ISDIR) && event.mask.intersects(arrived);
        let scope = if is_new_directory {
            Scope::Subtree
        } else {
            Scope::Entry
        };
        let changes_directory = event.mask.intersects(DIRECTORY_CHANGED);
        if let Some((wd, name, newest)) = &self.newest {
            if *wd == event.wd && name == event.name && *newest >= scope && !changes_directory {
                return Ok(());
            }
        }
        if event.mask.contains(ReadFlags::MODIFY) {
            self.heat.modified(event.wd, event.name);
        }
        if event.name.is_empty() {
            self.pending.add(directory.clone(), scope);
        } else {
            self.hint_name(directory, event, scope)?;
        }
        if changes_directory {
            self.pending.add(directory.clone(), Scope::Entry);
        }
        self.newest = Some((event.wd, event.name.to_vec(), scope));
        Ok(())
    }
}

impl State {
    fn hint_name(&mut self, directory: &RelPath, event: Event<'_>, scope: Scope) -> Result<()> {
        // What covers such a hint for every name in the directory.
        let (crowded, whole) = match scope {
            Scope::Entry => (0, Scope::Children),
            Scope::Children | Scope::Subtree => (1, Scope::Subtree),
        };
        let counts = self.names.entry(event.wd).or_default();
        // Not so long as a wider hint is there for another reason: what is named is looked at more closely.
        let is_crowd = counts[crowded..].iter().any(|&count| count > CROWD);
        if is_crowd || !self.pending.add(directory.join(event.name)?, scope) {
            return Ok(());
        }
        counts[crowded] += 1;
        if counts[crowded] > CROWD {
            self.pending.add(directory.clone(), whole);
            self.pending.thin_out(directory);
        }
        Ok(())
    }
}

fn is_directory(entry: Option<&Entry>) -> bool {
    entry.is_some_and(|entry| entry.kind == Kind::Directory)
}

fn open(inotify: &Option<OwnedFd>) -> Result<BorrowedFd<'_>> {
    inotify
        .as_ref()
        .map(AsFd::as_fd)
        .ok_or_else(|| Error::refused("", "the watches are closed"))
}
