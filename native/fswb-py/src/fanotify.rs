//! `FilesystemMark`: one fanotify mark on the file system of a rootfs, and `ProcessRecord`: who did what.

use fswb_core::fanotify::{BACKLOG, Marked, Process as Told, ProcessState, Queue, Record, probe};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::baseline::{Baseline, ChangeSet};
use crate::convert::IntoPy;
use crate::hint::HintSet;
use crate::root::Rootfs;

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
    #[pyo3(signature = (rootfs, baseline, *, unlimited = true, backlog = BACKLOG, programs_on = None))]
    fn new(
        py: Python<'_>,
        rootfs: &Rootfs,
        baseline: &Baseline,
        unlimited: bool,
        backlog: u64,
        programs_on: Option<Vec<Vec<u8>>>,
    ) -> PyResult<Self> {
        let queue = if unlimited {
            Queue::Unlimited
        } else {
            Queue::Limited
        };
        let programs = programs_on.as_deref();
        let marked =
            py.detach(|| Marked::arm(&rootfs.0, &baseline.lock(), queue, backlog, programs));
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

    fn take_record(&self, py: Python<'_>) -> PyResult<Option<ProcessRecord>> {
        let record = py.detach(|| self.0.take_record()).into_py(py)?;
        Ok(record.map(ProcessRecord))
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

#[pyclass(frozen, module = "fswatch_builder._native")]
pub(crate) struct ProcessRecord(Record);

#[pymethods]
impl ProcessRecord {
    fn attribute<'py>(
        &self,
        py: Python<'py>,
        baseline: &Baseline,
        changes: &ChangeSet,
    ) -> Vec<(Bound<'py, PyBytes>, Vec<i32>)> {
        let found = py.detach(|| self.0.attribute(&baseline.lock(), &changes.lock()));
        let found = found.into_iter();
        found
            .map(|(path, pids)| {
                let path = PyBytes::new(py, path.as_bytes());
                (path, pids.into_iter().collect())
            })
            .collect()
    }

    #[getter]
    fn processes(&self) -> Vec<Process> {
        let told = self.0.processes.iter();
        told.map(|(&pid, told)| Process {
            pid,
            told: told.clone(),
        })
        .collect()
    }

    #[getter]
    fn is_complete(&self) -> bool {
        self.0.is_complete
    }

    #[getter]
    fn unheard<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        list(py, &self.0.unheard)
    }
}

#[pyclass(frozen, module = "fswatch_builder._native")]
pub(crate) struct Process {
    #[pyo3(get)]
    pid: i32,
    told: Told,
}

#[pymethods]
impl Process {
    #[getter]
    fn programs<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        list(py, &self.told.programs)
    }

    #[getter]
    fn arguments<'py>(&self, py: Python<'py>) -> Option<Vec<Bound<'py, PyBytes>>> {
        Some(list(py, self.told.arguments.as_ref()?))
    }

    #[getter]
    fn state(&self) -> &'static str {
        match self.told.state {
            ProcessState::Seen => "seen",
            ProcessState::Started => "started",
            ProcessState::Ended => "ended",
            ProcessState::Kernel => "kernel",
            ProcessState::Ambiguous => "ambiguous",
            ProcessState::Hidden => "hidden",
        }
    }
}

fn list<'py>(py: Python<'py>, items: &[Vec<u8>]) -> Vec<Bound<'py, PyBytes>> {
    items.iter().map(|item| PyBytes::new(py, item)).collect()
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<FilesystemMark>()?;
    module.add_class::<ProcessRecord>()?;
    module.add_class::<Process>()
}
