//! `Entry`.

use fswb_core::entry::{Entry as Recorded, Kind};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

/// Frozen; what it holds is turned into Python objects when it is asked for.
#[pyclass(frozen, eq, module = "fswatch_builder._native")]
#[derive(PartialEq, Eq)]
pub(crate) struct Entry(Recorded);

impl Entry {
    pub(crate) fn from_core(entry: Recorded) -> Self {
        Self(entry)
    }
}

#[pymethods]
impl Entry {
    #[getter]
    fn kind(&self) -> &'static str {
        match self.0.kind {
            Kind::File => "file",
            Kind::Directory => "directory",
            Kind::Symlink => "symlink",
            Kind::Fifo => "fifo",
            Kind::CharDevice => "char-device",
            Kind::BlockDevice => "block-device",
        }
    }

    #[getter]
    fn mode(&self) -> u32 {
        self.0.mode
    }

    #[getter]
    fn uid(&self) -> u32 {
        self.0.uid
    }

    #[getter]
    fn gid(&self) -> u32 {
        self.0.gid
    }

    #[getter]
    fn rdev(&self) -> u64 {
        self.0.rdev
    }

    #[getter]
    fn size(&self) -> u64 {
        self.0.size
    }

    #[getter]
    fn mtime_ns(&self) -> i64 {
        self.0.mtime_ns
    }

    #[getter]
    fn ctime_ns(&self) -> i64 {
        self.0.ctime_ns
    }

    #[getter]
    fn dev(&self) -> u64 {
        self.0.dev
    }

    #[getter]
    fn ino(&self) -> u64 {
        self.0.ino
    }

    #[getter]
    fn nlink(&self) -> u32 {
        self.0.nlink
    }

    #[getter]
    fn target<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.target)
    }

    #[getter]
    fn xattrs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let pairs = self.0.xattrs.iter();
        let pairs: Vec<_> = pairs
            .map(|(name, value)| (PyBytes::new(py, name), PyBytes::new(py, value)))
            .collect();
        PyTuple::new(py, pairs)
    }

    #[getter]
    fn sha256<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.0.sha256.map(|digest| PyBytes::new(py, &digest))
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}
