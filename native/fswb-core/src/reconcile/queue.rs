//! Directories to be done, shared by several threads.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};

/// Tasks for several threads; the last one in is the first one out, so that directories close soon.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    tasks: Vec<T>,
    busy: usize,
    failed: Option<Error>,
}

impl<T> Queue<T> {
    pub(super) fn new(tasks: Vec<T>) -> Self {
        Self {
            state: Mutex::new(State {
                tasks,
                busy: 0,
                failed: None,
            }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One thread's share: does tasks, each of which may add more, until there are none left or one failed.
    pub(super) fn work(&self, mut run: impl FnMut(&T, &mut Vec<T>) -> Result<()>) {
        let mut more = Vec::new();
        while let Some(task) = self.next() {
            let _busy = Busy(self);
            let done = run(&task, &mut more);
            let mut state = self.lock();
            state.tasks.append(&mut more);
            if let Err(error) = done {
                state.failed.get_or_insert(error);
            }
        }
    }

    fn next(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if state.failed.is_some() {
                return None;
            }
            if let Some(task) = state.tasks.pop() {
                state.busy += 1;
                return Some(task);
            }
            if state.busy == 0 {
                return None;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The first failure, once all threads are done.
    pub(super) fn result(self) -> Result<()> {
        let state = self
            .state
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        state.failed.map_or(Ok(()), Err)
    }
}

/// A task being done. Its end is told even if it panics, lest the others wait for ever.
struct Busy<'q, T>(&'q Queue<T>);

impl<T> Drop for Busy<'_, T> {
    fn drop(&mut self) {
        self.0.lock().busy -= 1;
        self.0.changed.notify_all();
    }
}
