//! Ctrl-C while the core works through a layer: Python sees signals only between its own instructions, so a reader
//! asks it now and then.

use std::io::{Error, Read, Result};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

const ECANCELED: i32 = 125;
const EVERY: Duration = Duration::from_millis(100);

/// What a signal handler raised, if one did.
#[derive(Clone, Default)]
pub(crate) struct Raised(Arc<Mutex<Option<PyErr>>>);

impl Raised {
    /// The result of the work, or what ended it.
    pub(crate) fn or<T>(&self, result: PyResult<T>) -> PyResult<T> {
        match self.lock().take() {
            Some(error) => Err(error),
            None => result,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<PyErr>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reader that fails as soon as a signal handler of Python raises.
pub(crate) struct Interruptible<R> {
    input: R,
    asked: Instant,
    raised: Raised,
}

impl<R> Interruptible<R> {
    pub(crate) fn new(input: R, raised: &Raised) -> Self {
        Self {
            input,
            asked: Instant::now(),
            raised: raised.clone(),
        }
    }
}

impl<R: Read> Read for Interruptible<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.asked.elapsed() >= EVERY {
            self.asked = Instant::now();
            if let Err(error) = Python::attach(|py| py.check_signals()) {
                *self.raised.lock() = Some(error);
                return Err(Error::from_raw_os_error(ECANCELED));
            }
        }
        self.input.read(buffer)
    }
}
