//! `Entry`, `Change`, `ChangeSet` and `Baseline`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use fswb_core::baseline::Baseline as Recorded;
use fswb_core::change::ChangeSet as Found;
use fswb_core::error::Error;
use fswb_core::path::RelPath;
use pyo3::prelude::*;

use crate::convert::IntoPy;
use crate::root::Rootfs;

#[pyclass(frozen, module = "fswatch_builder._native")]
pub(crate) struct ChangeSet(Mutex<Found>);

impl ChangeSet {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pyclass(frozen, module = "fswatch_builder._native")]
pub(crate) struct Baseline(Mutex<Recorded>);

impl Baseline {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Recorded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Baseline {
    #[staticmethod]
    fn empty(py: Python<'_>, rootfs: &Rootfs) -> PyResult<Self> {
        let root = py.detach(|| rootfs.0.entry(&RelPath::ROOT)).into_py(py)?;
        let root = root
            .ok_or_else(|| Error::refused(rootfs.0.path(), "not a directory"))
            .into_py(py)?;
        Ok(Self(Mutex::new(Recorded::empty(root))))
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<ChangeSet>()?;
    module.add_class::<Baseline>()
}
