//! `FilesystemMark`: one fanotify mark on the file system of a rootfs.

use std::collections::BTreeMap;

use fswb_core::fanotify::{Marked, Queue, probe};
use fswb_core::path::RelPath;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::baseline::{Baseline, ChangeSet};
use crate::convert::IntoPy;
use crate::hint::HintSet;
use crate::root::Rootfs;

/// Processes by path, programs by process, and whether that is all.
type Processes<'py> = (
    Vec<(Bound<'py, PyBytes>, Vec<i32>)>,
    BTreeMap<i32, Vec<Option<Bound<'py, PyBytes>>>>,
    bool,
);

#[pyclass(frozen, module = "fswatch_builder._native")]
pub(crate) struct FilesystemMark(Marked);

#[pymethods]
impl FilesystemMark {
    #[staticmethod]
    fn probe(py: Python<'_>, rootfs: &Rootfs) -> PyResult<bool> {
        let queue = py.detach(|| probe(&rootfs.0)).into_py(py)?;
        Ok(queue == Queue::Unlimited)
    }

    #[new]
    #[pyo3(signature = (rootfs, baseline, *, unlimited = true, record_processes = false))]
    fn new(
        py: Python<'_>,
        rootfs: &Rootfs,
        baseline: &Baseline,
        unlimited: bool,
        record_processes: bool,
    ) -> PyResult<Self> {
        let queue = if unlimited {
            Queue::Unlimited
        } else {
            Queue::Limited
        };
        let marked =
            py.detach(|| Marked::arm(&rootfs.0, &baseline.lock(), queue, record_processes));
        Ok(Self(marked.into_py(py)?))
    }

    fn settle(&self, py: Python<'_>, baseline: &Baseline) -> PyResult<HintSet> {
        py.detach(|| self.0.settle(&baseline.lock()))
            .into_py(py)
            .map(HintSet::from_core)
    }

    fn advance(&self, py: Python<'_>, baseline: &Baseline, changes: &ChangeSet) -> PyResult<()> {
        py.detach(|| self.0.advance(&baseline.lock(), &changes.lock()))
            .into_py(py)
    }

    #[getter]
    fn processes<'py>(&self, py: Python<'py>) -> PyResult<Option<Processes<'py>>> {
        let Some(found) = py.detach(|| self.0.processes()).into_py(py)? else {
            return Ok(None);
        };
        let bytes = |path: &RelPath| PyBytes::new(py, path.as_bytes());
        let touched = found.touched.iter();
        let touched = touched.map(|(path, pids)| (bytes(path), pids.iter().copied().collect()));
        let executed = found.executed.iter();
        let executed = executed.map(|(&pid, programs)| {
            let paths = programs.iter().map(|path| path.as_ref().map(bytes));
            (pid, paths.collect())
        });
        Ok(Some((
            touched.collect(),
            executed.collect(),
            found.complete,
        )))
    }

    fn pause(&self, py: Python<'_>) {
        py.detach(|| self.0.pause());
    }

    fn resume(&self, py: Python<'_>) {
        py.detach(|| self.0.resume());
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.close());
    }

    #[getter]
    fn unlimited(&self, py: Python<'_>) -> PyResult<bool> {
        let queue = py.detach(|| self.0.queue()).into_py(py)?;
        Ok(queue == Queue::Unlimited)
    }

    #[getter]
    fn events(&self, py: Python<'_>) -> PyResult<u64> {
        py.detach(|| self.0.events()).into_py(py)
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<FilesystemMark>()
}
