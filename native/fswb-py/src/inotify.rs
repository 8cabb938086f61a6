//! `Watches`: recursive inotify watches on a descriptor that Python owns.

use std::os::fd::BorrowedFd;

use fswb_core::inotify::Watches as Watching;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::baseline::{Baseline, ChangeSet};
use crate::convert::IntoPy;
use crate::hint::HintSet;
use crate::root::Rootfs;

#[pyclass(frozen, module = "fswatch_builder._native")]
pub(crate) struct Watches(Watching);

#[pymethods]
impl Watches {
    #[new]
    fn new(py: Python<'_>, inotify_fd: i32) -> PyResult<Self> {
        if inotify_fd < 0 {
            return Err(PyValueError::new_err("not a file descriptor"));
        }
        // SAFETY: not -1, and borrowed for this call only: the core duplicates it. A descriptor that is not open makes
        // the duplication fail.
        let inotify = unsafe { BorrowedFd::borrow_raw(inotify_fd) };
        Ok(Self(Watching::new(inotify).into_py(py)?))
    }

    #[pyo3(signature = (rootfs, baseline, *, budget=None))]
    fn arm(
        &self,
        py: Python<'_>,
        rootfs: &Rootfs,
        baseline: &Baseline,
        budget: Option<usize>,
    ) -> PyResult<()> {
        py.detach(|| self.0.arm(rootfs.0.clone(), &baseline.lock(), budget))
            .into_py(py)
    }

    fn settle(&self, py: Python<'_>) -> PyResult<HintSet> {
        py.detach(|| self.0.settle())
            .into_py(py)
            .map(HintSet::from_core)
    }

    fn advance(&self, py: Python<'_>, baseline: &Baseline, changes: &ChangeSet) -> PyResult<()> {
        py.detach(|| self.0.advance(&baseline.lock(), &changes.lock()))
            .into_py(py)
    }

    fn pause(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.0.pause()).into_py(py)
    }

    fn resume(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.0.resume()).into_py(py)
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.close());
    }

    #[getter]
    fn count(&self, py: Python<'_>) -> PyResult<usize> {
        py.detach(|| self.0.count()).into_py(py)
    }

    #[getter]
    fn events(&self, py: Python<'_>) -> PyResult<u64> {
        py.detach(|| self.0.events()).into_py(py)
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Watches>()
}
