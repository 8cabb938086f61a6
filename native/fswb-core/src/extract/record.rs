//! The record of a layer, kept in a thread of its own: while a file is made, those before it get their content and
//! metadata, are looked at for the last time and recorded.
//!
//! Notes are taken in the order of the archive, so the record goes through the same states as if there were one thread.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::baseline::Baseline;
use crate::clock::Clock;
use crate::entry::{Entry, Inode, Kind};
use crate::error::{Context, Error, Result};
use crate::extract::file::Draft;
use crate::extract::place::Linked;
use crate::path::RelPath;

/// Notes handed over at a time. One by one they would wake the other thread for each file.
const BATCH: usize = 32;
/// Batches that wait: with the one that is filled and the one that is worked on, 96 files are open at most.
const QUEUE: usize = 1;

/// What happened to the root file system.
pub(super) enum Note {
    /// A file was made, in place of whatever had its name.
    File(Draft),
    /// An entry is in its last state, in place of whatever had its name: but a directory is merged with a directory.
    Entry(RelPath, Entry),
    /// An inode has one more name, in place of whatever had it.
    Link(RelPath, Linked),
    /// A path and all below it is gone.
    Gone(RelPath),
    /// What could not be done and is no reason to stop.
    Warning(String),
}

/// The way to the thread that keeps the record.
pub(super) struct Notes {
    batch: Vec<Note>,
    batches: SyncSender<Vec<Note>>,
}

impl Notes {
    pub(super) fn add(&mut self, note: Note) -> Result<()> {
        self.batch.push(note);
        if self.batch.len() < BATCH {
            return Ok(());
        }
        self.hand_over()
    }

    fn hand_over(&mut self) -> Result<()> {
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        self.batches.send(batch).map_err(|_| stopped())
    }
}

fn stopped() -> Error {
    Error::refused("", "the thread that records a layer has failed")
}

/// A baseline that follows a root file system while a layer is unpacked.
pub(super) struct Record<'a> {
    pub(super) baseline: &'a mut Baseline,
    /// Judges every stat that is recorded.
    clock: Clock,
    /// Inodes that gained or lost a name, as they were last recorded.
    pub(super) links: BTreeMap<Inode, Entry>,
    pub(super) warnings: Vec<String>,
}

impl<'a> Record<'a> {
    pub(super) fn new(baseline: &'a mut Baseline, clock: Clock) -> Self {
        Self {
            baseline,
            clock,
            links: BTreeMap::new(),
            warnings: Vec::new(),
        }
    }

    /// Takes the notes of `work` in another thread, to the last one. Of two failures the first in the archive is told: that
    /// of the record, which is behind.
    pub(super) fn during<T>(&mut self, work: impl FnOnce(&mut Notes) -> Result<T>) -> Result<T> {
        let (batches, taken) = sync_channel(QUEUE);
        thread::scope(|scope| {
            let recorder = thread::Builder::new()
                .name("layer-record".into())
                .spawn_scoped(scope, move || self.take_all(&taken))
                .during("pthread_create", "")?;
            let mut notes = Notes {
                batch: Vec::with_capacity(BATCH),
                batches,
            };
            let worked = work(&mut notes);
            let handed_over = notes.hand_over();
            drop(notes);
            recorder.join().map_err(|_| stopped())??;
            handed_over?;
            worked
        })
    }

    fn take_all(&mut self, batches: &Receiver<Vec<Note>>) -> Result<()> {
        for note in batches.iter().flatten() {
            self.take(note)?;
        }
        Ok(())
    }

    fn take(&mut self, note: Note) -> Result<()> {
        match note {
            Note::File(file) => {
                let (path, entry) = file.finish(&mut self.warnings)?;
                self.forget(&path);
                self.put(&path, entry)
            }
            Note::Entry(path, entry) => {
                if !self.merges(&path, &entry) {
                    self.forget(&path);
                }
                self.put(&path, entry)
            }
            Note::Link(path, Linked { first, mut entry }) => {
                self.forget(&path);
                entry.sha256 = self.baseline.entry(&first).and_then(|first| first.sha256);
                self.put(&first, entry.clone())?;
                self.links.insert(entry.inode(), entry.clone());
                self.put(&path, entry)
            }
            Note::Gone(path) => {
                self.forget(&path);
                Ok(())
            }
            Note::Warning(warning) => {
                self.warnings.push(warning);
                Ok(())
            }
        }
    }

    fn merges(&self, path: &RelPath, entry: &Entry) -> bool {
        let known = self.baseline.cursor(path);
        entry.kind == Kind::Directory && known.is_some_and(|known| known.kind() == Kind::Directory)
    }

    pub(super) fn put(&mut self, path: &RelPath, mut entry: Entry) -> Result<()> {
        entry.racy = self.clock.is_racy(&entry);
        self.baseline.put(path, entry)
    }

    /// Takes a path and all below it out of the record, and notes the other names of their inodes.
    fn forget(&mut self, path: &RelPath) {
        if self.baseline.cursor(path).is_none() {
            return;
        }
        let mut pending = vec![path.clone()];
        while let Some(path) = pending.pop() {
            match self.baseline.entry(&path) {
                Some(entry) if entry.kind == Kind::Directory => {
                    let below = self.baseline.children(&path).into_iter();
                    pending.extend(below.filter_map(|name| path.join(&name).ok()));
                }
                Some(entry) if entry.nlink > 1 => {
                    self.links.insert(entry.inode(), entry);
                }
                _ => {}
            }
        }
        self.baseline.remove(path);
    }
}
