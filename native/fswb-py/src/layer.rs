//! `pack_layer`, `unpack_layer`, `read_tar_member`: layers and archives on descriptors of the caller.

use std::fs::File;
use std::os::fd::{BorrowedFd, RawFd};

use fswb_core::archive::{Limits, read_member};
use fswb_core::error::{Context, Error};
use fswb_core::extract;
use fswb_core::path::RelPath;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::baseline::{Baseline, ChangeSet};
use crate::convert::IntoPy;
use crate::root::Rootfs;
use crate::signals::{Asking, Interruptible, Raised};

#[pyclass(frozen, module = "fswatch_builder._native")]
pub(crate) struct PackedLayer(fswb_core::layer::PackedLayer);

#[pymethods]
impl PackedLayer {
    #[getter]
    fn diff_id<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.tar.sha256)
    }

    #[getter]
    fn size(&self) -> u64 {
        self.0.tar.size
    }

    #[getter]
    fn entries(&self) -> u64 {
        self.0.entries
    }
}

#[pyclass(frozen, module = "fswatch_builder._native")]
pub(crate) struct UnpackedLayer(extract::UnpackedLayer);

impl UnpackedLayer {
    pub(crate) fn from_core(unpacked: extract::UnpackedLayer) -> Self {
        Self(unpacked)
    }
}

#[pymethods]
impl UnpackedLayer {
    #[getter]
    fn diff_id<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.tar.sha256)
    }

    #[getter]
    fn size(&self) -> u64 {
        self.0.tar.size
    }

    #[getter]
    fn entries(&self) -> u64 {
        self.0.entries
    }

    #[getter]
    fn warnings(&self) -> Vec<String> {
        self.0.warnings.clone()
    }
}

const EBADF: i32 = 9;

/// A duplicate of the caller's descriptor, which stays the caller's to close.
pub(crate) fn file(fd: RawFd) -> Result<File, Error> {
    if fd < 0 {
        return Err(Error::io(
            "dup",
            "",
            &std::io::Error::from_raw_os_error(EBADF),
        ));
    }
    // SAFETY: the number is not -1; the caller keeps it open during the call, and a closed one only makes dup fail.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    borrowed
        .try_clone_to_owned()
        .during("dup", "")
        .map(File::from)
}

#[pyfunction]
#[pyo3(signature = (rootfs, baseline, changes, fd, *, max_mtime = None, others_write = false))]
fn pack_layer(
    py: Python<'_>,
    rootfs: &Rootfs,
    baseline: &Baseline,
    changes: &ChangeSet,
    fd: RawFd,
    max_mtime: Option<i64>,
    others_write: bool,
) -> PyResult<PackedLayer> {
    let raised = Raised::default();
    let pack = || {
        let output = file(fd)?;
        let asking = Asking::new(&raised);
        fswb_core::layer::pack_layer(
            &rootfs.0,
            &baseline.lock(),
            &mut changes.lock(),
            output,
            max_mtime,
            others_write,
            &|| asking.now_and_then().during("write", ""),
        )
    };
    let packed = py.detach(pack).into_py(py);
    raised.or(packed).map(PackedLayer)
}

#[pyfunction]
#[pyo3(signature = (rootfs, baseline, fd, *, max_bytes = None, max_entries = None))]
fn unpack_layer(
    py: Python<'_>,
    rootfs: &Rootfs,
    baseline: &Baseline,
    fd: RawFd,
    max_bytes: Option<u64>,
    max_entries: Option<u64>,
) -> PyResult<UnpackedLayer> {
    let limits = Limits {
        max_bytes,
        max_entries,
    };
    let raised = Raised::default();
    let unpack = || {
        let input = Interruptible::new(file(fd)?, &raised);
        extract::unpack_layer(&rootfs.0, &mut baseline.lock(), input, limits)
    };
    let unpacked = py.detach(unpack).into_py(py);
    raised.or(unpacked).map(UnpackedLayer)
}

#[pyfunction]
fn read_tar_member<'py>(
    py: Python<'py>,
    fd: RawFd,
    name: &[u8],
    limit: u64,
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let read = || read_member(file(fd)?, &RelPath::new(name)?, limit);
    let content = py.detach(read).into_py(py)?;
    Ok(content.map(|content| PyBytes::new(py, &content)))
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PackedLayer>()?;
    module.add_class::<UnpackedLayer>()?;
    module.add_function(wrap_pyfunction!(pack_layer, module)?)?;
    module.add_function(wrap_pyfunction!(unpack_layer, module)?)?;
    module.add_function(wrap_pyfunction!(read_tar_member, module)?)
}
