//! Errors, once, for every binding: what the core says becomes the exception that `_native.pyi` promises.

use fswb_core::error::{Error, Result};
use pyo3::create_exception;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

create_exception!(
    fswatch_builder._native,
    ArchiveError,
    PyValueError,
    "An archive breaks the rules of its format or of this project."
);
create_exception!(
    fswatch_builder._native,
    RefusedError,
    PyValueError,
    "Something in a root file system, a build context or a saved baseline cannot be used or represented."
);

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("ArchiveError", module.py().get_type::<ArchiveError>())?;
    module.add("RefusedError", module.py().get_type::<RefusedError>())
}

/// `Result` of the core to `PyResult`.
pub(crate) trait IntoPy<T> {
    fn into_py(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> IntoPy<T> for Result<T> {
    fn into_py(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| exception(py, &error).unwrap_or_else(|failed| failed))
    }
}

fn exception(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    Ok(match error {
        Error::System {
            operation,
            path,
            errno,
        } => {
            let message = format!("{operation}: {}", strerror(*errno));
            // OSError picks the subclass that belongs to the errno only when it is constructed with several arguments.
            let value =
                py.get_type::<PyOSError>()
                    .call1((*errno, message, PyBytes::new(py, path)))?;
            value.setattr("operation", *operation)?;
            PyErr::from_value(value)
        }
        Error::Archive {
            offset,
            path,
            reason,
        } => {
            let value = py.get_type::<ArchiveError>().call1((error.to_string(),))?;
            value.setattr("offset", *offset)?;
            value.setattr("path", PyBytes::new(py, path))?;
            value.setattr("reason", reason)?;
            PyErr::from_value(value)
        }
        Error::Index { path, reason } | Error::Refused { path, reason } => {
            let value = py.get_type::<RefusedError>().call1((error.to_string(),))?;
            value.setattr("path", PyBytes::new(py, path))?;
            value.setattr("reason", reason)?;
            PyErr::from_value(value)
        }
    })
}

fn strerror(errno: i32) -> String {
    let text = std::io::Error::from_raw_os_error(errno).to_string();
    // std appends " (os error N)", which the errno attribute says already.
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_owned()
}
