//! `HostCommand`.

use std::sync::{Mutex, PoisonError};

use fswb_core::command::Command;
use fswb_core::witness;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::convert::IntoPy;
use crate::sandbox::{number, owned};

#[pyclass(frozen, module = "fswatch_builder._native")]
struct HostCommand {
    pid: u32,
    command: Mutex<Command>,
}

#[pymethods]
impl HostCommand {
    #[new]
    #[pyo3(signature = (argv, *, cwd, witness))]
    fn new(
        py: Python<'_>,
        argv: Vec<PyBackedBytes>,
        cwd: Option<PyBackedBytes>,
        witness: bool,
    ) -> PyResult<Self> {
        let argv = owned(&argv);
        let cwd = cwd.map(|cwd| cwd.to_vec());
        let command = py
            .detach(|| Command::start(&argv, cwd.as_deref(), witness))
            .into_py(py)?;
        Ok(Self {
            pid: command.pid(),
            command: Mutex::new(command),
        })
    }

    #[getter]
    fn pid(&self) -> u32 {
        self.pid
    }

    fn testify(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        py.detach(|| {
            let mut command = self.command.lock().unwrap_or_else(PoisonError::into_inner);
            command.testify()
        })
        .into_py(py)
        .map(number)
    }
}

#[pyfunction]
fn probe_link_witness(py: Python<'_>) -> PyResult<()> {
    py.detach(witness::probe).into_py(py)
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<HostCommand>()?;
    module.add_function(wrap_pyfunction!(probe_link_witness, module)?)
}
