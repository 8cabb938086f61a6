//! `RefusedCall` and `refused_calls`.

use fswb_core::kernel::{Refused, refused_for_files, refused_for_run};
use pyo3::prelude::*;

#[pyclass(frozen, module = "fswatch_builder._native")]
struct RefusedCall(Refused);

#[pymethods]
impl RefusedCall {
    #[getter]
    fn name(&self) -> &'static str {
        self.0.name
    }

    #[getter]
    fn since(&self) -> &'static str {
        self.0.since
    }

    #[getter]
    fn errno(&self) -> i32 {
        self.0.errno
    }
}

#[pyfunction]
#[pyo3(signature = (*, for_run))]
fn refused_calls(for_run: bool) -> Vec<RefusedCall> {
    let refused = if for_run {
        refused_for_run()
    } else {
        refused_for_files()
    };
    refused.into_iter().map(RefusedCall).collect()
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<RefusedCall>()?;
    module.add_function(wrap_pyfunction!(refused_calls, module)?)
}
