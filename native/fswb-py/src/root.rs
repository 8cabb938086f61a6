//! `Rootfs`: an open root directory.

use std::sync::Arc;

use fswb_core::root::Root;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::convert::IntoPy;

/// Shared with whatever keeps working on the root file system, such as watches.
#[pyclass(frozen, module = "fswatch_builder._native")]
pub(crate) struct Rootfs(pub(crate) Arc<Root>);

#[pymethods]
impl Rootfs {
    #[new]
    fn new(py: Python<'_>, path: &[u8]) -> PyResult<Self> {
        py.detach(|| Root::open(path))
            .into_py(py)
            .map(|root| Self(Arc::new(root)))
    }

    #[getter]
    fn path<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.path())
    }

    fn resolve<'py>(&self, py: Python<'py>, path: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let resolved = py.detach(|| self.0.resolve(path)).into_py(py)?;
        Ok(PyBytes::new(py, resolved.as_bytes()))
    }

    fn read_file<'py>(
        &self,
        py: Python<'py>,
        path: &[u8],
        limit: u64,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let read = || {
            self.0
                .read_file(&fswb_core::path::RelPath::clean(path)?, limit)
        };
        let content = py.detach(read).into_py(py)?;
        Ok(content.map(|content| PyBytes::new(py, &content)))
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Rootfs>()
}
