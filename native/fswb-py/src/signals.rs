//! Ctrl-C while the core works through a layer: Python sees signals only between its own instructions, and in its main
//! thread alone, so it is asked now and then; other threads ask whether they shall end.

use std::cell::Cell;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

const ECANCELED: i32 = 125;
const EVERY: Duration = Duration::from_millis(100);

/// What a signal handler raised, if one did; or that this thread shall end.
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

/// Asks Python for what its signal handlers raise, and `fswatch_builder.stopping`. For the thread that was called.
pub(crate) struct Asking {
    last: Cell<Instant>,
    raised: Raised,
}

impl Asking {
    pub(crate) fn new(raised: &Raised) -> Self {
        Self {
            last: Cell::new(Instant::now()),
            raised: raised.clone(),
        }
    }

    /// Fails if the work shall end; asks ten times a second at most.
    pub(crate) fn now_and_then(&self) -> Result<()> {
        if self.last.get().elapsed() < EVERY {
            return Ok(());
        }
        self.at_once()
    }

    /// Fails if the work shall end.
    fn at_once(&self) -> Result<()> {
        self.last.set(Instant::now());
        Python::attach(|py| {
            py.check_signals()?;
            let stopping = py.import("fswatch_builder.stopping")?;
            stopping.call_method0("check").map(drop)
        })
        .map_err(|error| {
            *self.raised.lock() = Some(error);
            Error::from_raw_os_error(ECANCELED)
        })
    }
}

/// A reader or writer that fails as soon as the work shall end.
pub(crate) struct Interruptible<F> {
    file: F,
    asking: Asking,
}

impl<F> Interruptible<F> {
    pub(crate) fn new(file: F, raised: &Raised) -> Self {
        Self {
            file,
            asking: Asking::new(raised),
        }
    }
}

impl<R: Read> Read for Interruptible<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.asking.now_and_then()?;
        self.file.read(buffer)
    }
}

impl<W: Write> Write for Interruptible<W> {
    /// A pipe may be full for long: a signal ends the call, and is asked about at once.
    fn write(&mut self, buffer: &[u8]) -> Result<usize> {
        match self.file.write(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                self.asking.at_once()?;
                Err(error)
            }
            result => result,
        }
    }

    fn flush(&mut self) -> Result<()> {
        self.file.flush()
    }
}
