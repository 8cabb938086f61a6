//! `Rootfs`: an open root directory.

use std::os::fd::{IntoRawFd, RawFd};
use std::sync::Arc;

use fswb_core::mounted;
use fswb_core::path::RelPath;
use fswb_core::root::Root;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::convert::IntoPy;
use crate::entry::Entry;

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

    #[getter]
    fn merged(&self) -> bool {
        self.0.layers().is_some()
    }

    #[getter]
    fn file_system<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        let identity = py.detach(|| mounted::identity(&self.0))?;
        Some(PyBytes::new(py, &identity))
    }

    fn abandon(&self) {
        self.0.abandon();
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
        let read = || self.0.read_file(&RelPath::clean(path)?, limit);
        let content = py.detach(read).into_py(py)?;
        Ok(content.map(|content| PyBytes::new(py, &content)))
    }

    fn open_file(&self, py: Python<'_>, path: &[u8]) -> PyResult<RawFd> {
        let open = || self.0.open_file(&RelPath::clean(path)?);
        Ok(py.detach(open).into_py(py)?.into_raw_fd())
    }

    fn entry(&self, py: Python<'_>, path: &[u8]) -> PyResult<Option<Entry>> {
        let look = || self.0.entry(&RelPath::new(path)?);
        let entry = py.detach(look).into_py(py)?;
        Ok(entry.map(Entry::from_core))
    }

    fn names<'py>(&self, py: Python<'py>, path: &[u8]) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let names = py
            .detach(|| self.0.names(&RelPath::new(path)?))
            .into_py(py)?;
        Ok(names.iter().map(|name| PyBytes::new(py, name)).collect())
    }

    fn own_directory(&self, py: Python<'_>, path: &[u8], uid: u32, gid: u32) -> PyResult<()> {
        let own = || self.0.own_directory(&RelPath::new(path)?, (uid, gid));
        py.detach(own).into_py(py)
    }

    fn make_directory<'py>(
        &self,
        py: Python<'py>,
        path: &[u8],
        uid: u32,
        gid: u32,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let make = || {
            let path = self.0.resolve(path)?;
            self.0.make_directories(&path, 0o755, (uid, gid))
        };
        let made = py.detach(make).into_py(py)?;
        let made = made.iter();
        Ok(made.map(|path| PyBytes::new(py, path.as_bytes())).collect())
    }
}

#[pyfunction]
fn remove_tree(py: Python<'_>, path: &[u8]) -> PyResult<()> {
    py.detach(|| fswb_core::remove::remove_tree(path))
        .into_py(py)
}

#[pyfunction]
fn exchange(py: Python<'_>, one: &[u8], other: &[u8]) -> PyResult<()> {
    py.detach(|| fswb_core::exchange::exchange(one, other))
        .into_py(py)
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Rootfs>()?;
    module.add_function(wrap_pyfunction!(remove_tree, module)?)?;
    module.add_function(wrap_pyfunction!(exchange, module)?)
}
