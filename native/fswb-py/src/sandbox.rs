//! `Mount`, `RunSpec`, `Sandbox` and `spawn`.

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;

use fswb_core::error::Error;
use fswb_core::path::RelPath;
use fswb_core::sandbox::{self, Streams};
use fswb_core::witness::Links;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

use crate::convert::IntoPy;
use crate::root::Rootfs;

#[pyclass(frozen, module = "fswatch_builder._native")]
struct Mount(sandbox::Mount);

#[pymethods]
impl Mount {
    #[staticmethod]
    #[pyo3(signature = (target, content, *, mode = 0o644, uid = 0, gid = 0, optional = false))]
    fn file(target: &[u8], content: &[u8], mode: u32, uid: u32, gid: u32, optional: bool) -> Self {
        let source = sandbox::Source::File {
            content: content.to_vec(),
            mode,
            owner: (uid, gid),
        };
        let Self(mount) = Self::at(target, source);
        Self(sandbox::Mount { optional, ..mount })
    }

    #[staticmethod]
    #[pyo3(signature = (target, source, path, *, writable))]
    fn tree(
        py: Python<'_>,
        target: &[u8],
        source: &Rootfs,
        path: &[u8],
        writable: bool,
    ) -> PyResult<Self> {
        let open = || sandbox::Source::tree(&source.0, &RelPath::new(path)?, writable);
        let source = py.detach(open).into_py(py)?;
        Ok(Self::at(target, source))
    }

    #[staticmethod]
    #[pyo3(signature = (target, *, size = None, writable = true))]
    fn tmpfs(target: &[u8], size: Option<u64>, writable: bool) -> Self {
        Self::at(target, sandbox::Source::Tmpfs { size, writable })
    }
}

impl Mount {
    fn at(target: &[u8], source: sandbox::Source) -> Self {
        let target = target.to_vec();
        Self(sandbox::Mount {
            target,
            source,
            optional: false,
        })
    }
}

#[pyclass(frozen, module = "fswatch_builder._native")]
struct RunSpec(sandbox::RunSpec);

#[pymethods]
impl RunSpec {
    #[new]
    #[pyo3(signature = (argv, env, cwd, *, uid = 0, gid = 0, groups = vec![], hostname = None, mounts = vec![],
        loopback_only = false, insecure = false, shm_size = None, limits = vec![], witness = false,
        emulators = None))]
    #[expect(clippy::too_many_arguments, reason = "they have names in Python")]
    fn new(
        argv: Vec<PyBackedBytes>,
        env: Vec<PyBackedBytes>,
        cwd: PyBackedBytes,
        uid: u32,
        gid: u32,
        groups: Vec<u32>,
        hostname: Option<PyBackedBytes>,
        mounts: Vec<PyRef<'_, Mount>>,
        loopback_only: bool,
        insecure: bool,
        shm_size: Option<u64>,
        limits: Vec<(u32, u64, u64)>,
        witness: bool,
        emulators: Option<&Emulators>,
    ) -> Self {
        let hostname = hostname.as_deref().unwrap_or(b"buildkitsandbox").to_vec();
        let limits = limits.into_iter();
        let limits = limits.map(|(resource, soft, hard)| sandbox::Limit {
            resource,
            soft,
            hard,
        });
        Self(sandbox::RunSpec {
            argv: owned(&argv),
            env: owned(&env),
            cwd: cwd.to_vec(),
            uid,
            gid,
            groups,
            hostname,
            mounts: mounts.iter().map(|mount| mount.0.clone()).collect(),
            network: if loopback_only {
                sandbox::Network::Loopback
            } else {
                sandbox::Network::Host
            },
            security: if insecure {
                sandbox::Security::Insecure
            } else {
                sandbox::Security::Sandbox
            },
            shm_size,
            limits: limits.collect(),
            witness,
            emulators: emulators.map(|emulators| Arc::clone(&emulators.0)),
        })
    }
}

#[pyclass(frozen, module = "fswatch_builder._native")]
struct Emulators(Arc<sandbox::Emulators>);

#[pymethods]
impl Emulators {
    #[new]
    fn new(py: Python<'_>, registrations: Vec<PyBackedBytes>) -> PyResult<Self> {
        let registrations = owned(&registrations);
        let made = py.detach(|| sandbox::Emulators::new(&registrations));
        made.into_py(py).map(|emulators| Self(Arc::new(emulators)))
    }
}

pub(crate) fn owned(strings: &[PyBackedBytes]) -> Vec<Vec<u8>> {
    strings.iter().map(|string| string.to_vec()).collect()
}

#[pyclass(frozen, module = "fswatch_builder._native")]
struct Sandbox(sandbox::Sandbox);

#[pymethods]
impl Sandbox {
    #[getter]
    fn pidfd(&self) -> RawFd {
        self.0.pidfd().as_raw_fd()
    }

    #[getter]
    fn pid(&self) -> i32 {
        self.0.pid()
    }

    fn wait(&self, py: Python<'_>) -> PyResult<i32> {
        loop {
            match py.detach(|| self.0.wait()) {
                // Python's handlers run here; one that raises ends the wait.
                Err(Error::System {
                    errno: libc::EINTR, ..
                }) => py.check_signals()?,
                result => return result.into_py(py),
            }
        }
    }

    fn is_written(&self, py: Python<'_>) -> PyResult<bool> {
        py.detach(|| self.0.is_written()).into_py(py)
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.0.close()).into_py(py)
    }

    #[getter]
    fn links_made(&self) -> Option<u64> {
        number(self.0.links())
    }

    fn kill(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.0.kill()).into_py(py)
    }
}

/// `None` where nobody can tell.
pub(crate) fn number(links: Links) -> Option<u64> {
    match links {
        Links::AtMost(count) => Some(count),
        Links::Unknown => None,
    }
}

#[pyfunction]
#[pyo3(signature = (rootfs, spec, stdout_fd, stderr_fd, *, stdin_fd = None, terminal = false))]
fn spawn(
    py: Python<'_>,
    rootfs: &Rootfs,
    spec: &RunSpec,
    stdout_fd: RawFd,
    stderr_fd: RawFd,
    stdin_fd: Option<RawFd>,
    terminal: bool,
) -> PyResult<Sandbox> {
    if stdout_fd < 0 || stderr_fd < 0 || stdin_fd.is_some_and(|fd| fd < 0) {
        return Err(PyValueError::new_err("a descriptor is negative"));
    }
    if terminal && stdin_fd.is_none() {
        return Err(PyValueError::new_err("a terminal takes stdin_fd"));
    }
    // SAFETY: the caller keeps all of them open for the call, as the contract says; a closed one is an error of the
    // system call that copies it.
    let borrowed = |fd| unsafe { BorrowedFd::borrow_raw(fd) };
    let streams = Streams {
        stdin: stdin_fd.map(borrowed),
        stdout: borrowed(stdout_fd),
        stderr: borrowed(stderr_fd),
        terminal,
    };
    py.detach(|| sandbox::spawn(&rootfs.0, &spec.0, streams))
        .into_py(py)
        .map(Sandbox)
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Mount>()?;
    module.add_class::<RunSpec>()?;
    module.add_class::<Emulators>()?;
    module.add_class::<Sandbox>()?;
    module.add_function(wrap_pyfunction!(spawn, module)?)
}
