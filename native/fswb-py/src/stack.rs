//! `LayerStack` and `copy_member`: layers read as one tree.

use std::os::fd::RawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fswb_core::archive::Limits;
use fswb_core::path::RelPath;
use fswb_core::stack::{self, Stack};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::baseline::Change;
use crate::convert::IntoPy;
use crate::entry::Entry;
use crate::layer::{UnpackedLayer, file};
use crate::signals::{Interruptible, Raised};

#[pyclass(frozen, module = "fswatch_builder._native")]
struct LayerStack(Mutex<Stack>);

impl LayerStack {
    /// Not while the interpreter is held: who works on the stack asks it for signals now and then.
    fn lock(&self) -> MutexGuard<'_, Stack> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl LayerStack {
    #[new]
    #[pyo3(signature = (*, digests = true))]
    fn new(digests: bool) -> Self {
        Self(Mutex::new(Stack::new(digests)))
    }

    #[pyo3(signature = (fd, *, max_bytes = None, max_entries = None))]
    fn add(
        &self,
        py: Python<'_>,
        fd: RawFd,
        max_bytes: Option<u64>,
        max_entries: Option<u64>,
    ) -> PyResult<UnpackedLayer> {
        let limits = Limits {
            max_bytes,
            max_entries,
        };
        let raised = Raised::default();
        let add = || {
            let input = Interruptible::new(file(fd)?, &raised);
            self.lock().add(input, limits)
        };
        let added = py.detach(add).into_py(py);
        raised.or(added).map(UnpackedLayer::from_core)
    }

    fn fork(&self, py: Python<'_>) -> Self {
        Self(Mutex::new(py.detach(|| self.lock().clone())))
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        py.detach(|| self.lock().len())
    }

    fn resolve<'py>(&self, py: Python<'py>, path: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let resolved = py.detach(|| self.lock().resolve(path)).into_py(py)?;
        Ok(PyBytes::new(py, resolved.as_bytes()))
    }

    fn entry(&self, py: Python<'_>, path: &[u8]) -> PyResult<Option<Entry>> {
        let path = RelPath::new(path).into_py(py)?;
        let entry = py.detach(|| self.lock().entry(&path));
        Ok(entry.map(Entry::from_core))
    }

    fn names<'py>(&self, py: Python<'py>, path: &[u8]) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let path = RelPath::new(path).into_py(py)?;
        let names = py.detach(|| self.lock().names(&path));
        Ok(names.iter().map(|name| PyBytes::new(py, name)).collect())
    }

    fn source(&self, py: Python<'_>, path: &[u8]) -> PyResult<Option<(u32, u64)>> {
        let path = RelPath::new(path).into_py(py)?;
        let source = py.detach(|| self.lock().source(&path));
        Ok(source.map(|source| (source.layer, source.offset)))
    }

    fn differences(&self, py: Python<'_>, other: &Self) -> Vec<Change> {
        if std::ptr::eq(self, other) {
            return Vec::new();
        }
        let found = py.detach(|| {
            // Always in the same order, whoever asks.
            let (one, another) = if std::ptr::from_ref(self) < std::ptr::from_ref(other) {
                let one = self.lock();
                (one, other.lock())
            } else {
                let another = other.lock();
                (self.lock(), another)
            };
            stack::differences(&one, &another)
        });
        found.into_iter().map(Change::from_core).collect()
    }
}

#[pyfunction]
fn copy_member(py: Python<'_>, fd: RawFd, offset: u64, output_fd: RawFd) -> PyResult<()> {
    let raised = Raised::default();
    let copy = || {
        let input = Interruptible::new(file(fd)?, &raised);
        let output = Interruptible::new(file(output_fd)?, &raised);
        stack::copy_member(input, offset, output)
    };
    let copied = py.detach(copy).into_py(py);
    raised.or(copied)
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<LayerStack>()?;
    module.add_function(wrap_pyfunction!(copy_member, module)?)
}
