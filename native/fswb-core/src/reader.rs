//! A thread that empties a queue of the kernel's on a timer, and the lock that it shares with its callers.
//!
//! It never waits for the events themselves: a wake-up costs the watched command more than the event does (untar 1.40 of
//! the unwatched time with a reader in poll(2), 1.10 with one that looks every 5 ms).

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::{Context, Error, Result};

/// How long the reader sleeps after it found events.
const SHORT: Duration = Duration::from_millis(5);
/// How long it sleeps when nothing happens. A limited queue holds 16,384 events, which the fastest producer measured
/// fills in 63 ms; when it overflows all the same, that is a loss like any other.
const LONG: Duration = Duration::from_millis(20);

/// A queue to be emptied.
pub(crate) trait Source: Send + 'static {
    /// Takes what was queued up to now; returns how many events.
    fn drain(&mut self) -> Result<u64>;
}

/// A source, and the thread that drains it.
#[derive(Debug)]
pub(crate) struct Reader<S> {
    shared: Arc<Shared<S>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared<S> {
    state: Mutex<State<S>>,
    /// Notified when the reader should stop sleeping.
    changed: Condvar,
}

#[derive(Debug)]
struct State<S> {
    /// `None` once closed.
    source: Option<S>,
    paused: bool,
    /// Why the reader stopped, if it had to.
    failed: Option<Error>,
}

impl<S: Source> Reader<S> {
    /// Starts reading, in a thread of that name.
    pub(crate) fn start(source: S, name: &str) -> Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                source: Some(source),
                paused: false,
                failed: None,
            }),
            changed: Condvar::new(),
        });
        let own = shared.clone();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || read_until_closed(&own))
            .during("clone", "")?;
        Ok(Self {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Works on the source while the reader does not.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut S) -> Result<T>) -> Result<T> {
        // A panic while holding the lock may have dropped events: nothing read from here could be trusted.
        let state = self.shared.state.lock();
        let mut state = state.map_err(|_| Error::refused("", "the reader of events has failed"))?;
        if let Some(error) = &state.failed {
            return Err(error.clone());
        }
        match &mut state.source {
            Some(source) => work(source),
            None => Err(Error::refused("", "it is closed")),
        }
    }

    /// Stops reading until [`Self::resume`], so that a test can fill the kernel's queue.
    pub(crate) fn pause(&self) {
        self.state().paused = true;
    }

    /// Ends a pause.
    pub(crate) fn resume(&self) {
        self.state().paused = false;
        self.shared.changed.notify_all();
    }

    /// Ends reading: the thread has stopped and the source is dropped on return. A second call does nothing.
    pub(crate) fn close(&self) {
        drop(self.state().source.take());
        self.shared.changed.notify_all();
        let thread = self.thread.lock();
        let thread = thread.unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A reader that panicked has poisoned the state, which `with` reports.
            drop(thread.join());
        }
    }

    /// Also after a panic: what is set here does not depend on the rest.
    fn state(&self) -> std::sync::MutexGuard<'_, State<S>> {
        let state = self.shared.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Drop for Reader<S> {
    fn drop(&mut self) {
        let state = self.shared.state.lock();
        state.unwrap_or_else(PoisonError::into_inner).source = None;
        // The thread finds its source gone; nobody waits for it.
        self.shared.changed.notify_all();
    }
}

fn read_until_closed<S: Source>(shared: &Shared<S>) {
    let mut interval = SHORT;
    // Poisoned: whoever asks next learns of it.
    let Ok(mut state) = shared.state.lock() else {
        return;
    };
    loop {
        let paused = state.paused;
        // Looked for before each wait: nobody notifies a thread that does not wait yet.
        let Some(source) = &mut state.source else {
            return;
        };
        if !paused {
            match source.drain() {
                Ok(0) => interval = LONG.min(interval * 2),
                Ok(_) => interval = SHORT,
                Err(error) => {
                    state.failed = Some(error);
                    return;
                }
            }
        }
        let Ok((woken, _)) = shared.changed.wait_timeout(state, interval) else {
            return;
        };
        state = woken;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Instant;

    use super::*;

    struct Counted(Arc<AtomicU64>);

    impl Source for Counted {
        fn drain(&mut self) -> Result<u64> {
            match self.0.fetch_add(1, Ordering::Relaxed) {
                3 => Err(Error::system("read", "", rustix::io::Errno::IO)),
                count => Ok(count),
            }
        }
    }

    #[test]
    fn an_error_of_the_reader_is_told_to_whoever_asks_next() {
        let drained = Arc::new(AtomicU64::new(0));
        let reader = Reader::start(Counted(drained.clone()), "test").unwrap();
        let begun = Instant::now();
        while reader.with(|_| Ok(())).is_ok() {
            assert!(begun.elapsed() < Duration::from_secs(20));
            std::thread::yield_now();
        }
        assert_eq!(drained.load(Ordering::Relaxed), 4);
        let told = reader.with(|_| Ok(())).unwrap_err();
        assert!(matches!(
            told,
            Error::System {
                operation: "read",
                ..
            }
        ));
        reader.close();
        reader.close();
    }

    #[test]
    fn a_paused_reader_does_not_read_and_can_be_closed() {
        let drained = Arc::new(AtomicU64::new(10));
        let reader = Reader::start(Counted(drained.clone()), "test").unwrap();
        reader.pause();
        let before = drained.load(Ordering::Relaxed);
        std::thread::sleep(3 * LONG);
        assert_eq!(drained.load(Ordering::Relaxed), before);
        reader.close();
        assert!(reader.with(|_| Ok(())).is_err());
    }
}
