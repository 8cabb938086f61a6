//! The items of a copy, read on several threads and handed on in their order.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, Scope, available_parallelism};

use super::known::Known;
use super::part::{Part, Parts};
use crate::error::{Context, Error, Result};

/// What one thread takes at a time. Waking a thread costs as much as reading a small file does.
const PARTS: usize = 64;
const BYTES: u64 = 1 << 20;
/// Each is a descriptor that stays open until its batch was read.
const DIRECTORIES: usize = 8;
/// The walk and the digest over all records are one thread's: of small files two fifths of the work. Large files keep more
/// threads busy.
const MOST_THREADS: usize = 4;
/// Batches under way for each thread: they wait for a large file that comes before them.
const AHEAD: usize = 2;

type Batch = Vec<Part>;
type Job = (Batch, SyncSender<Result<Batch>>);

/// Parts in their order, with their items read. Memory and descriptors are bounded: those of the batches under way.
pub(super) struct Reading<'scope, 'env, 'a> {
    parts: Parts<'a>,
    known: Option<&'env Known>,
    /// How the parts ended, once they did.
    end: Option<Result<()>>,
    scope: &'scope Scope<'scope, 'env>,
    jobs: Sender<Job>,
    queue: Arc<Mutex<Receiver<Job>>>,
    threads: usize,
    most_threads: usize,
    under_way: VecDeque<Receiver<Result<Batch>>>,
}

impl<'scope, 'env, 'a> Reading<'scope, 'env, 'a> {
    /// Its threads end when it is dropped.
    pub(super) fn new(
        scope: &'scope Scope<'scope, 'env>,
        parts: Parts<'a>,
        known: Option<&'env Known>,
    ) -> Self {
        let (jobs, queue) = channel();
        Self {
            parts,
            known,
            end: None,
            scope,
            jobs,
            queue: Arc::new(Mutex::new(queue)),
            threads: 0,
            most_threads: available_parallelism()
                .map_or(1, usize::from)
                .min(MOST_THREADS),
            under_way: VecDeque::new(),
        }
    }

    /// The next parts; `None` at the end. The first error is that of the first part that has one.
    pub(super) fn next(&mut self) -> Result<Option<Batch>> {
        while self.end.is_none() && self.under_way.len() < self.most_threads * AHEAD {
            let batch = self.batch();
            // Little to do: no other thread is worth it.
            if self.end.is_some() && self.under_way.is_empty() {
                return read(batch, self.known, &mut Vec::new()).map(Some);
            }
            self.give(batch)?;
        }
        match (self.under_way.pop_front(), self.end.take()) {
            (Some(oldest), end) => {
                self.end = end;
                let read = oldest.recv();
                read.unwrap_or_else(|_| Err(Error::refused("", "a thread that reads files failed")))
                    .map(Some)
            }
            (None, Some(Err(error))) => Err(error),
            (None, _) => {
                self.end = Some(Ok(()));
                Ok(None)
            }
        }
    }

    fn batch(&mut self) -> Batch {
        let mut batch = Vec::new();
        let (mut bytes, mut directories) = (0, 1);
        while batch.len() < PARTS && bytes < BYTES && directories < DIRECTORIES {
            let part = match self.parts.next() {
                Ok(Some(part)) => part,
                Ok(None) => {
                    self.end = Some(Ok(()));
                    break;
                }
                Err(error) => {
                    self.end = Some(Err(error));
                    break;
                }
            };
            match &part {
                Part::Item(item) if item.given.is_none() => {
                    if item.is_unread() {
                        bytes += item.found.entry.size;
                    }
                }
                _ => directories += 1,
            }
            batch.push(part);
        }
        batch
    }

    fn give(&mut self, batch: Batch) -> Result<()> {
        let (done, result) = sync_channel(1);
        self.under_way.push_back(result);
        // Both find a receiver: the results under way, and `queue` as long as this is there.
        if batch.iter().all(is_read) {
            let _ = done.send(Ok(batch));
            return Ok(());
        }
        if self.threads < self.most_threads {
            let (queue, known) = (Arc::clone(&self.queue), self.known);
            Builder::new()
                .name("read".to_owned())
                .spawn_scoped(self.scope, move || work(&queue, known))
                .during("clone", "")?;
            self.threads += 1;
        }
        let _ = self.jobs.send((batch, done));
        Ok(())
    }
}

fn is_read(part: &Part) -> bool {
    !matches!(part, Part::Item(item) if item.is_unread())
}

fn work(queue: &Mutex<Receiver<Job>>, known: Option<&Known>) {
    let mut buffer = Vec::new();
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((batch, done)) = job else { return };
        // Nobody waits for it after an error in a batch before.
        let _ = done.send(read(batch, known, &mut buffer));
    }
}

fn read(mut batch: Batch, known: Option<&Known>, buffer: &mut Vec<u8>) -> Result<Batch> {
    for part in &mut batch {
        if let Part::Item(item) = part {
            item.read(known, buffer)?;
        }
    }
    Ok(batch)
}
