//! `Change`, `ChangeSet` and `Baseline`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fswb_core::baseline::Baseline as Recorded;
use fswb_core::change::{Change as Found, ChangeKind, ChangeSet as FoundSet, Effort, Why};
use fswb_core::clock::Clock;
use fswb_core::error::Error;
use fswb_core::extract::clone_tree;
use fswb_core::hint::{HintSet as Hints, Scope};
use fswb_core::path::RelPath;
use fswb_core::reconcile::{HashMode, reconcile, record};
use fswb_core::witness::Links;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyFrozenSet};

use crate::convert::IntoPy;
use crate::entry::Entry;
use crate::hint::{HintSet, reason_name};
use crate::root::Rootfs;

const REASONS: [(Why, &str); 10] = [
    (Why::MODE, "mode"),
    (Why::UID, "uid"),
    (Why::GID, "gid"),
    (Why::RDEV, "rdev"),
    (Why::TARGET, "target"),
    (Why::XATTRS, "xattrs"),
    (Why::CONTENT, "content"),
    (Why::MTIME, "mtime"),
    (Why::LINKS, "links"),
    (Why::LISTED, "listed"),
];

#[pyclass(frozen, module = "fswatch_builder._native")]
pub(crate) struct Change(Found);

impl Change {
    pub(crate) fn from_core(change: Found) -> Self {
        Self(change)
    }
}

#[pymethods]
impl Change {
    #[getter]
    fn path<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.path.as_bytes())
    }

    #[getter]
    fn kind(&self) -> &'static str {
        match self.0.kind {
            ChangeKind::Added => "added",
            ChangeKind::Modified => "modified",
            ChangeKind::Replaced => "replaced",
            ChangeKind::Deleted => "deleted",
        }
    }

    #[getter]
    fn why<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyFrozenSet>> {
        let names = REASONS.iter().filter(|(why, _)| self.0.why.contains(*why));
        PyFrozenSet::new(py, names.map(|&(_, name)| name))
    }

    #[getter]
    fn before(&self) -> Option<Entry> {
        self.0.before.as_deref().cloned().map(Entry::from_core)
    }

    #[getter]
    fn after(&self) -> Option<Entry> {
        self.0.after.as_deref().cloned().map(Entry::from_core)
    }

    fn __repr__(&self) -> String {
        format!(
            "Change({:?} {:?} {:?})",
            self.0.path, self.0.kind, self.0.why
        )
    }
}

#[pyclass(frozen, module = "fswatch_builder._native")]
pub(crate) struct ChangeSet(Mutex<FoundSet>);

impl ChangeSet {
    pub(crate) fn lock(&self) -> MutexGuard<'_, FoundSet> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn effort(&self) -> Effort {
        self.lock().effort
    }
}

#[pymethods]
impl ChangeSet {
    fn __len__(&self) -> usize {
        self.lock().changes.len()
    }

    #[getter]
    fn changes(&self) -> Vec<Change> {
        self.lock().changes.iter().cloned().map(Change).collect()
    }

    #[getter]
    fn sockets<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        let found = self.lock();
        let sockets = found.sockets.iter();
        sockets
            .map(|path| PyBytes::new(py, path.as_bytes()))
            .collect()
    }

    #[getter]
    fn stats(&self) -> u64 {
        self.effort().stats
    }

    #[getter]
    fn listings(&self) -> u64 {
        self.effort().listings
    }

    #[getter]
    fn hashed_files(&self) -> u64 {
        self.effort().hashed_files
    }

    #[getter]
    fn hashed_bytes(&self) -> u64 {
        self.effort().hashed_bytes
    }

    #[getter]
    fn losses<'py>(&self, py: Python<'py>) -> Vec<(&'static str, Bound<'py, PyBytes>)> {
        let found = self.lock();
        let losses = found.losses.iter();
        losses
            .map(|loss| {
                (
                    reason_name(loss.reason),
                    PyBytes::new(py, loss.path.as_bytes()),
                )
            })
            .collect()
    }
}

#[pyclass(frozen, module = "fswatch_builder._native")]
pub(crate) struct Baseline(Mutex<Recorded>);

impl Baseline {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Recorded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Baseline {
    #[staticmethod]
    fn empty(py: Python<'_>, rootfs: &Rootfs) -> PyResult<Self> {
        let root = py.detach(|| {
            let clock = Clock::of(&rootfs.0)?;
            let root = rootfs.0.entry(&RelPath::ROOT)?;
            let mut root =
                root.ok_or_else(|| Error::refused(rootfs.0.path(), "not a directory"))?;
            root.racy = clock.is_racy(&root);
            Ok(root)
        });
        let root = root.into_py(py)?;
        Ok(Self(Mutex::new(Recorded::empty(root))))
    }

    #[staticmethod]
    #[pyo3(signature = (rootfs, *, digests = true, threads = 2))]
    fn record(
        py: Python<'_>,
        rootfs: &Rootfs,
        digests: bool,
        threads: usize,
    ) -> PyResult<(Self, ChangeSet)> {
        let recorded = py.detach(|| record(&rootfs.0, digests, threads));
        let (baseline, found) = recorded.into_py(py)?;
        Ok((Self(Mutex::new(baseline)), ChangeSet(Mutex::new(found))))
    }

    #[staticmethod]
    fn open(py: Python<'_>, path: &[u8]) -> PyResult<Self> {
        let recorded = py.detach(|| Recorded::open(file(path))).into_py(py)?;
        Ok(Self(Mutex::new(recorded)))
    }

    fn save(&self, py: Python<'_>, path: &[u8]) -> PyResult<()> {
        py.detach(|| self.lock().save(file(path))).into_py(py)
    }

    fn clone_tree(&self, py: Python<'_>, rootfs: &Rootfs, into: &Rootfs) -> PyResult<Self> {
        let made = py.detach(|| clone_tree(&rootfs.0, &self.lock(), &into.0));
        Ok(Self(Mutex::new(made.into_py(py)?)))
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        py.detach(|| self.lock().len())
    }

    #[getter]
    fn directories(&self, py: Python<'_>) -> usize {
        py.detach(|| self.lock().directory_count())
    }

    fn entry(&self, py: Python<'_>, path: &[u8]) -> PyResult<Option<Entry>> {
        let entry = py.detach(|| {
            let path = RelPath::new(path)?;
            Ok(self.lock().entry(&path))
        });
        Ok(entry.into_py(py)?.map(Entry::from_core))
    }

    fn paths<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        let mut paths: Vec<Vec<u8>> =
            py.detach(|| self.lock().paths().map(RelPath::into_bytes).collect());
        paths.sort_unstable();
        paths.iter().map(|path| PyBytes::new(py, path)).collect()
    }

    fn null_device<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        let found = py.detach(|| self.lock().null_device());
        found.map(|path| PyBytes::new(py, path.as_bytes()))
    }

    fn linked_elsewhere(&self, py: Python<'_>) -> HintSet {
        py.detach(|| {
            let mut hints = Hints::default();
            for name in self.lock().linked_elsewhere() {
                hints.add(name, Scope::Entry);
            }
            HintSet::from_core(hints)
        })
    }

    #[pyo3(signature = (rootfs, hints, listed = Vec::new(), *, hash = "evidence", threads = 2, links_made = Some(0)))]
    #[expect(clippy::too_many_arguments, reason = "they have names in Python")]
    fn reconcile(
        &self,
        py: Python<'_>,
        rootfs: &Rootfs,
        hints: &HintSet,
        listed: Vec<Vec<u8>>,
        hash: &str,
        threads: usize,
        links_made: Option<u64>,
    ) -> PyResult<ChangeSet> {
        let made = links_made.map_or(Links::Unknown, Links::AtMost);
        let mode = match hash {
            "evidence" => HashMode::Evidence,
            "all" => HashMode::All,
            "none" => HashMode::Never,
            _ => {
                return Err(PyValueError::new_err(format!(
                    "no such hash mode: {hash:?}"
                )));
            }
        };
        let found = py.detach(|| {
            let listed: Result<Vec<_>, _> = listed.into_iter().map(RelPath::new).collect();
            let hints = hints.lock().clone();
            reconcile(
                &rootfs.0,
                &self.lock(),
                &hints,
                &listed?,
                mode,
                threads,
                made,
            )
        });
        Ok(ChangeSet(Mutex::new(found.into_py(py)?)))
    }

    fn advance(&self, py: Python<'_>, changes: &ChangeSet) -> PyResult<()> {
        py.detach(|| self.lock().apply(&changes.lock())).into_py(py)
    }
}

fn file(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Entry>()?;
    module.add_class::<Change>()?;
    module.add_class::<ChangeSet>()?;
    module.add_class::<Baseline>()
}
