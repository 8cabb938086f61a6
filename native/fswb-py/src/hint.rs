//! `HintSet`: where to look, and what was lost.

use std::sync::{Mutex, MutexGuard, PoisonError};

use fswb_core::hint::{HintSet as Hints, LossReason, Scope};
use fswb_core::path::RelPath;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::convert::IntoPy;

#[pyclass(frozen, module = "fswatch_builder._native")]
#[derive(Default)]
pub(crate) struct HintSet(Mutex<Hints>);

impl HintSet {
    pub(crate) fn from_core(hints: Hints) -> Self {
        Self(Mutex::new(hints))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Hints> {
        // Every update is one insertion: a panic in between leaves a valid set.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl HintSet {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    fn add(&self, py: Python<'_>, path: &[u8], scope: &str) -> PyResult<()> {
        let path = RelPath::new(path).into_py(py)?;
        self.lock().add(path, scope_from_name(scope)?);
        Ok(())
    }

    fn lose(&self, py: Python<'_>, reason: &str, path: &[u8]) -> PyResult<()> {
        let path = RelPath::new(path).into_py(py)?;
        self.lock().lose(reason_from_name(reason)?, path);
        Ok(())
    }

    fn merge(&self, other: &Self) {
        let other = other.lock().clone();
        self.lock().merge(other);
    }

    #[getter]
    fn hints<'py>(&self, py: Python<'py>) -> Vec<(Bound<'py, PyBytes>, &'static str)> {
        self.lock()
            .hints()
            .map(|(path, scope)| (PyBytes::new(py, path.as_bytes()), scope_name(scope)))
            .collect()
    }

    #[getter]
    fn losses<'py>(&self, py: Python<'py>) -> Vec<(&'static str, Bound<'py, PyBytes>)> {
        let set = self.lock();
        set.losses()
            .map(|loss| {
                (
                    reason_name(loss.reason),
                    PyBytes::new(py, loss.path.as_bytes()),
                )
            })
            .collect()
    }

    fn __len__(&self) -> usize {
        self.lock().len()
    }
}

fn scope_from_name(name: &str) -> PyResult<Scope> {
    match name {
        "entry" => Ok(Scope::Entry),
        "children" => Ok(Scope::Children),
        "subtree" => Ok(Scope::Subtree),
        _ => Err(PyValueError::new_err(format!("no such scope: {name:?}"))),
    }
}

fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Entry => "entry",
        Scope::Children => "children",
        Scope::Subtree => "subtree",
    }
}

const REASONS: [(&str, LossReason); 13] = [
    ("queue-overflow", LossReason::QueueOverflow),
    ("watch-limit", LossReason::WatchLimit),
    ("shared-watch", LossReason::SharedWatch),
    ("unmounted", LossReason::Unmounted),
    ("unknown-watch", LossReason::UnknownWatch),
    ("missing-links", LossReason::MissingLinks),
    ("other-device", LossReason::OtherDevice),
    ("flood", LossReason::Flood),
    ("unreadable-event", LossReason::UnreadableEvent),
    ("vanished-links", LossReason::VanishedLinks),
    ("unseen-links", LossReason::UnseenLinks),
    ("nested-overlay", LossReason::NestedOverlay),
    ("write-storm", LossReason::WriteStorm),
];

fn reason_from_name(name: &str) -> PyResult<LossReason> {
    let found = REASONS.iter().find(|(known, _)| *known == name);
    found
        .map(|&(_, reason)| reason)
        .ok_or_else(|| PyValueError::new_err(format!("no such loss: {name:?}")))
}

pub(crate) fn reason_name(reason: LossReason) -> &'static str {
    REASONS
        .iter()
        .find(|&&(_, known)| known == reason)
        .map_or("", |&(name, _)| name)
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let reasons = PyTuple::new(module.py(), REASONS.map(|(name, _)| name))?;
    module.add("LOSS_REASONS", reasons)?;
    module.add_class::<HintSet>()
}
