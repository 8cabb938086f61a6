//! `is_multigrain`.

use fswb_core::clock::{Clock, Ticks};
use fswb_core::root::Root;
use pyo3::prelude::*;

use crate::convert::IntoPy;

#[pyfunction]
fn is_multigrain(py: Python<'_>, directory: &[u8]) -> PyResult<bool> {
    py.detach(|| Clock::of(&Root::open(directory)?))
        .into_py(py)
        .map(|clock| clock.ticks == Ticks::Multigrain)
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(is_multigrain, module)?)
}
