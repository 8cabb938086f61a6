//! `expand`, `content`, `KnownContents`, `listing_differences`, `copy` and what they take and give.

use std::ffi::OsStr;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use fswb_core::archive::Limits;
use fswb_core::copy::{self as core, Selection, Source};
use fswb_core::path::RelPath;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::convert::IntoPy;
use crate::ignore::IgnorePatterns;
use crate::root::Rootfs;
use crate::signals::{Interruptible, Raised};

#[pyclass(frozen, module = "fswatch_builder._native")]
pub(crate) struct Mode(core::Mode);

#[pymethods]
impl Mode {
    #[new]
    fn new(py: Python<'_>, text: &str) -> PyResult<Self> {
        core::Mode::new(text).into_py(py).map(Self)
    }
}

/// What COPY or ADD did.
#[pyclass(frozen, module = "fswatch_builder._native")]
pub(crate) struct Copied(pub(crate) core::Copied);

#[pymethods]
impl Copied {
    #[getter]
    fn paths<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        to_bytes(py, &self.0.paths)
    }

    #[getter]
    fn led_through<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        to_bytes(py, &self.0.led_through)
    }

    #[getter]
    fn files(&self) -> u64 {
        self.0.files
    }

    #[getter]
    fn size(&self) -> u64 {
        self.0.size
    }

    #[getter]
    fn warnings(&self) -> Vec<String> {
        self.0.warnings.clone()
    }
}

/// What was read of a build context before.
#[pyclass(frozen, module = "fswatch_builder._native")]
pub(crate) struct KnownContents(core::Known);

#[pymethods]
impl KnownContents {
    #[new]
    #[pyo3(signature = (context, saved = None))]
    fn new(py: Python<'_>, context: &Rootfs, saved: Option<&[u8]>) -> PyResult<Self> {
        let saved = saved.map(|path| Path::new(OsStr::from_bytes(path)));
        py.detach(|| core::Known::open(&context.0, saved))
            .into_py(py)
            .map(Self)
    }

    #[getter]
    fn learned(&self) -> usize {
        self.0.learned()
    }

    fn save(&self, py: Python<'_>, path: &[u8]) -> PyResult<()> {
        let path = Path::new(OsStr::from_bytes(path));
        py.detach(|| self.0.save(path)).into_py(py)
    }
}

/// What COPY would take.
#[pyclass(frozen, module = "fswatch_builder._native")]
pub(crate) struct Content(core::Content);

#[pymethods]
impl Content {
    #[getter]
    fn digest<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.digest)
    }

    #[getter]
    fn listing<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.listing)
    }
}

/// A path of which something differs.
#[pyclass(frozen, module = "fswatch_builder._native")]
pub(crate) struct ListingDifference(core::Difference);

#[pymethods]
impl ListingDifference {
    #[getter]
    fn path<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.path)
    }

    #[getter]
    fn what(&self) -> Vec<&'static str> {
        self.0.what.iter().map(|aspect| aspect.name()).collect()
    }
}

fn to_bytes<'py>(py: Python<'py>, paths: &[RelPath]) -> Vec<Bound<'py, PyBytes>> {
    let paths = paths.iter();
    paths
        .map(|path| PyBytes::new(py, path.as_bytes()))
        .collect()
}

fn from_bytes(paths: Vec<Vec<u8>>) -> fswb_core::error::Result<Vec<RelPath>> {
    paths.into_iter().map(RelPath::new).collect()
}

fn source<'a>(
    root: &'a Rootfs,
    ignore: Option<&'a IgnorePatterns>,
    include: Option<&'a IgnorePatterns>,
    exclude: Option<&'a IgnorePatterns>,
    is_context: bool,
) -> Source<'a> {
    Source {
        root: &root.0,
        ignore: ignore.map(|patterns| &patterns.0),
        selection: Selection {
            include: include.map(|patterns| &patterns.0),
            exclude: exclude.map(|patterns| &patterns.0),
        },
        is_context,
    }
}

#[pyfunction]
#[pyo3(signature = (source, pattern, *, ignore = None, exclude = None))]
fn expand<'py>(
    py: Python<'py>,
    source: &Rootfs,
    pattern: &[u8],
    ignore: Option<&IgnorePatterns>,
    exclude: Option<&IgnorePatterns>,
) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let source = self::source(source, ignore, None, exclude, true);
    let paths = py.detach(|| core::expand(&source, pattern)).into_py(py)?;
    Ok(to_bytes(py, &paths))
}

#[pyfunction]
#[pyo3(signature = (source, paths, *, ignore = None, include = None, exclude = None, owners, context = true, known = None))]
// One parameter for each of the contract's.
#[allow(clippy::too_many_arguments)]
fn content(
    py: Python<'_>,
    source: &Rootfs,
    paths: Vec<Vec<u8>>,
    ignore: Option<&IgnorePatterns>,
    include: Option<&IgnorePatterns>,
    exclude: Option<&IgnorePatterns>,
    owners: bool,
    context: bool,
    known: Option<&KnownContents>,
) -> PyResult<Content> {
    let source = self::source(source, ignore, include, exclude, context);
    let known = known.map(|known| &known.0);
    py.detach(|| core::content(&source, &from_bytes(paths)?, owners, known))
        .into_py(py)
        .map(Content)
}

#[pyfunction]
fn listing_differences(
    py: Python<'_>,
    before: &[u8],
    after: &[u8],
    most: usize,
) -> PyResult<(Vec<ListingDifference>, usize)> {
    let (found, count) = core::differences(before, after, most).into_py(py)?;
    Ok((found.into_iter().map(ListingDifference).collect(), count))
}

#[pyfunction]
#[pyo3(signature = (
    source, paths, rootfs, dest, *, ignore = None, include = None, exclude = None, owner = None, mode = None,
    context = true
))]
// One parameter for each of the contract's.
#[allow(clippy::too_many_arguments)]
fn copy(
    py: Python<'_>,
    source: &Rootfs,
    paths: Vec<Vec<u8>>,
    rootfs: &Rootfs,
    dest: &[u8],
    ignore: Option<&IgnorePatterns>,
    include: Option<&IgnorePatterns>,
    exclude: Option<&IgnorePatterns>,
    owner: Option<(u32, u32)>,
    mode: Option<&Mode>,
    context: bool,
) -> PyResult<Copied> {
    let request = core::Request {
        source: self::source(source, ignore, include, exclude, context),
        rootfs: &rootfs.0,
        dest,
        owner,
        mode: mode.map(|mode| &mode.0),
    };
    py.detach(|| core::copy(&request, &from_bytes(paths)?))
        .into_py(py)
        .map(Copied)
}

#[pyfunction]
#[pyo3(signature = (rootfs, dest, fd, *, owner = None, max_bytes = None, max_entries = None))]
fn add_archive(
    py: Python<'_>,
    rootfs: &Rootfs,
    dest: &[u8],
    fd: RawFd,
    owner: Option<(u32, u32)>,
    max_bytes: Option<u64>,
    max_entries: Option<u64>,
) -> PyResult<Copied> {
    let limits = Limits {
        max_bytes,
        max_entries,
    };
    let raised = Raised::default();
    let add = || {
        let dest = rootfs.0.resolve(dest)?;
        let input = Interruptible::new(crate::layer::file(fd)?, &raised);
        fswb_core::extract::add_archive(&rootfs.0, &dest, input, owner, limits)
    };
    let added = py.detach(add).into_py(py);
    let added = raised.or(added)?;
    Ok(Copied(core::Copied {
        paths: added.paths,
        led_through: added.led_through,
        files: added.files,
        size: added.size,
        warnings: added.warnings,
    }))
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Mode>()?;
    module.add_class::<Copied>()?;
    module.add_function(wrap_pyfunction!(expand, module)?)?;
    module.add_class::<KnownContents>()?;
    module.add_class::<Content>()?;
    module.add_class::<ListingDifference>()?;
    module.add_function(wrap_pyfunction!(content, module)?)?;
    module.add_function(wrap_pyfunction!(listing_differences, module)?)?;
    module.add_function(wrap_pyfunction!(copy, module)?)?;
    module.add_function(wrap_pyfunction!(add_archive, module)?)
}
