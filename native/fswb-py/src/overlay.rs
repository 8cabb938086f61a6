//! `mount_overlay` and `Upper`: steps on an overlay.

use std::sync::Arc;

use fswb_core::overlay::{Upper as Reading, mount};
use pyo3::prelude::*;

use crate::baseline::Baseline;
use crate::convert::IntoPy;
use crate::hint::HintSet;
use crate::root::Rootfs;

#[pyfunction]
fn mount_overlay(py: Python<'_>, rootfs: &Rootfs, directory: &[u8]) -> PyResult<Rootfs> {
    py.detach(|| mount(&rootfs.0, directory))
        .into_py(py)
        .map(|merged| Rootfs(Arc::new(merged)))
}

#[pyclass(frozen, module = "fswatch_builder._native")]
pub(crate) struct Upper(Reading);

#[pymethods]
impl Upper {
    #[new]
    fn new(py: Python<'_>, rootfs: &Rootfs, baseline: &Baseline) -> PyResult<Self> {
        py.detach(|| Reading::new(rootfs.0.clone(), &baseline.lock()))
            .into_py(py)
            .map(Self)
    }

    fn settle(&self, py: Python<'_>, baseline: &Baseline) -> PyResult<HintSet> {
        py.detach(|| self.0.settle(&baseline.lock()))
            .into_py(py)
            .map(HintSet::from_core)
    }

    fn advance(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.0.advance()).into_py(py)
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Upper>()?;
    module.add_function(wrap_pyfunction!(mount_overlay, module)?)
}
