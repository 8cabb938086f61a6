//! `IgnorePatterns`.

use fswb_core::ignore::IgnorePatterns as Patterns;
use fswb_core::path::RelPath;
use pyo3::prelude::*;

use crate::convert::IntoPy;

#[pyclass(frozen, module = "fswatch_builder._native")]
pub(crate) struct IgnorePatterns(pub(crate) Patterns);

#[pymethods]
impl IgnorePatterns {
    #[new]
    fn new(py: Python<'_>, patterns: Vec<Vec<u8>>) -> PyResult<Self> {
        py.detach(|| Patterns::new(&patterns)).into_py(py).map(Self)
    }

    #[staticmethod]
    fn one(py: Python<'_>, pattern: &[u8]) -> PyResult<Self> {
        Patterns::one(pattern).into_py(py).map(Self)
    }

    fn matches(&self, py: Python<'_>, path: &[u8]) -> PyResult<bool> {
        let path = RelPath::new(path).into_py(py)?;
        Ok(py.detach(|| self.0.matches(&path)))
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<IgnorePatterns>()
}
