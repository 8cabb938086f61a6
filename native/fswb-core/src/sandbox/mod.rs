//! Runs one command in a root file system: in mount, PID, IPC and UTS namespaces of its own, as PID 1 of a tree that
//! ends with it, with Docker's default capabilities. The network is the host's, or none.
//!
//! [`plan`] lays everything out, [`placing`] finds where each [`mount`] goes, [`stubs`] makes the missing mount points,
//! then the child is cloned. [`child`] tells its story: [`mounts`] leaves the host, [`network`] raises the loopback device,
//! [`identity`] becomes the user, [`launcher`] executes the command. What fails on the way comes back through [`report`].
//! When the tree is dead, [`writers`] knows whether something may still be written.
//! Needs root and Linux 5.12 (`mount_setattr`). Its hard links are counted by a
//! [`crate::witness`] on demand. [`emulators`] are for programs of other
//! machines. Not here: seccomp that forbids.

mod child;
mod emulators;
pub(crate) mod identity;
mod launcher;
mod mount;
mod mounts;
mod network;
mod placing;
mod plan;
mod report;
mod stubs;
mod writers;

use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, pidfd_send_signal, waitid,
};

pub use self::emulators::Emulators;
pub(crate) use self::identity::last_errno;
pub use self::mount::{Limit, Mount, Network, Security, Source};
use self::plan::{Ends, Plan};
use self::stubs::Stubs;
use self::writers::Writers;
use crate::error::{Context, Error, Result};
use crate::handover;
use crate::root::Root;
use crate::witness::{self, Expectation, Links, Witness};

/// What to run and as whom. Everything that the command sees is in here: nothing comes from the host.
#[derive(Debug, Clone, Default)]
pub struct RunSpec {
    /// The command and its arguments. Without a slash it is searched on the PATH of `env`, in the root file system.
    pub argv: Vec<Vec<u8>>,
    /// `NAME=value`, handed over as it is.
    pub env: Vec<Vec<u8>>,
    /// Absolute path in the root file system. It must exist.
    pub cwd: Vec<u8>,
    /// User ID.
    pub uid: u32,
    /// Group ID.
    pub gid: u32,
    /// All supplementary groups.
    pub groups: Vec<u32>,
    /// Name of the host, for as long as it runs.
    pub hostname: Vec<u8>,
    /// What is mounted besides. Sorted by target: parents first; of two with one target the later one is on top.
    pub mounts: Vec<Mount>,
    /// Its network.
    pub network: Network,
    /// What it is kept from.
    pub security: Security,
    /// Bytes of /dev/shm; Docker's 64 MiB if not said.
    pub shm_size: Option<u64>,
    /// Limits other than those of the builder.
    pub limits: Vec<Limit>,
    /// Whether to watch for hard links: see [`crate::witness`].
    pub witness: bool,
    /// What runs programs of another machine, where the kernel itself does not know.
    pub emulators: Option<Arc<Emulators>>,
}

/// What the command gets as its descriptors 0, 1 and 2: copies of these.
#[derive(Debug, Clone, Copy)]
pub struct Streams<'a> {
    /// `None`: `/dev/null`.
    pub stdin: Option<BorrowedFd<'a>>,
    /// Descriptor 1.
    pub stdout: BorrowedFd<'a>,
    /// Descriptor 2.
    pub stderr: BorrowedFd<'a>,
    /// `stdin` is a terminal that is nobody else's, and becomes the one that controls the command: keys are signals.
    pub terminal: bool,
}

/// A running command. Dropping it kills and reaps the whole tree.
#[derive(Debug)]
pub struct Sandbox {
    pid: Pid,
    pidfd: OwnedFd,
    state: Mutex<State>,
    /// Until they are gone, or nobody wants to know.
    writers: Mutex<Option<Writers>>,
}

#[derive(Debug)]
struct State {
    /// Set once it is reaped.
    status: Option<i32>,
    stubs: Stubs,
    /// Until it has testified.
    witness: Option<Witness>,
    links: Links,
}

/// One start at a time, from the clone until the child has executed something.
///
/// Until then a child has copies of all our descriptors, those of other threads too. What another stage of the build is
/// just writing could not be executed there (`ETXTBSY`, execve(2)) while such a copy is open:
///
/// ```text
/// stage A                           stage B
/// opens /bin/tool, writes it
///                                   clones: its child has the descriptor too
/// closes it
/// clones; execve: ETXTBSY
///                                   its child executes: the copy is closed
/// ```
///
/// A program that the Python side starts (git) has such copies as well, for the moment between vfork(2) and execve(2)
/// that a RUN takes much longer to come to.
static STARTING: Mutex<()> = Mutex::new(());

/// Starts a command and returns once it is executed.
///
/// The thread that calls this must live as long as the command: when it ends, the kernel kills the tree
/// (`PR_SET_PDEATHSIG` counts threads, prctl(2)), so that a builder which is killed leaves nothing running. One case is
/// open: a first process that is itself a setuid program loses that tie, and outlives a builder killed by SIGKILL.
pub fn spawn(root: &Root, spec: &RunSpec, streams: Streams<'_>) -> Result<Sandbox> {
    let mut stubs = Stubs::default();
    let started = start(root, spec, streams, &mut stubs);
    match started {
        Ok((pid, pidfd, writers, witness)) => Ok(Sandbox {
            pid,
            pidfd,
            state: Mutex::new(State {
                status: None,
                stubs,
                witness,
                links: Links::Unknown,
            }),
            writers: Mutex::new(Some(writers)),
        }),
        Err(error) => {
            // Dropped for the first error, which is the cause to tell; what cannot be removed now is most often its
            // consequence.
            let _ = stubs.remove();
            Err(error)
        }
    }
}

fn start(
    root: &Root,
    spec: &RunSpec,
    streams: Streams<'_>,
    stubs: &mut Stubs,
) -> Result<(Pid, OwnedFd, Writers, Option<Witness>)> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).during("pipe2", "")?;
    let (instruction, expectation) = spec.witness.then(witness::prepare).transpose()?.unzip();
    let (namespace, place) = handover::channel()?;
    let released = eventfd(0, EventfdFlags::CLOEXEC).during("eventfd2", "")?;
    let ends = Ends {
        report: &writer,
        released: &released,
        place: &place,
        witness: instruction,
    };
    let plan = Plan::new(root, spec, streams, ends, stubs)?;
    let starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    let (pid, pidfd) = clone(&plan)?;
    // The pipe ends when the last writer is gone, and that must be the child. A mount that is open here is busy there.
    drop((plan, writer, place));
    let told = rustix::io::write(&released, &1_u64.to_ne_bytes()).during("write", "eventfd");
    if let Err(error) = told {
        kill(&pidfd)?;
        reap(&pidfd)?;
        return Err(error);
    }
    let report = report::receive(reader);
    drop(starting);
    let started = match report {
        Ok(None) => Writers::receive(&namespace).and_then(|writers| {
            let witness = expectation.map(Expectation::meet).transpose()?;
            Ok((writers, witness))
        }),
        Ok(Some(error)) | Err(error) => Err(error),
    };
    match started {
        Ok((writers, witness)) => Ok((pid, pidfd, writers, witness)),
        Err(error) => {
            kill(&pidfd)?;
            reap(&pidfd)?;
            Err(named(error, spec))
        }
    }
}

/// The launcher tells why the command cannot be executed, not what it is called.
fn named(error: Error, spec: &RunSpec) -> Error {
    match error {
        Error::System {
            operation: "execve",
            path,
            errno,
        } if path.is_empty() => Error::System {
            operation: "execve",
            path: spec.argv.first().cloned().unwrap_or_default(),
            errno,
        },
        other => other,
    }
}

fn clone(plan: &Plan<'_>) -> Result<(Pid, OwnedFd)> {
    let network = match plan.network {
        Network::Host => 0,
        Network::Loopback => libc::CLONE_NEWNET,
    };
    let namespaces = libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | network;
    fork(namespaces, child::run, plan)
}

/// clone3(2) without `CLONE_VM`: the child is a copy of this thread alone, in new namespaces. It does what is safe after
/// a fork in a threaded process, and never returns.
fn fork<T>(namespaces: libc::c_int, child: fn(&T) -> !, plan: &T) -> Result<(Pid, OwnedFd)> {
    let mut pidfd: RawFd = -1;
    // SAFETY: all-zero is valid: every field is a number, and 0 means "not asked for".
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = (namespaces | libc::CLONE_PIDFD) as u64;
    arguments.pidfd = (&raw mut pidfd) as u64;
    arguments.exit_signal = libc::SIGCHLD as u64;

    // A handler of the parent's (Python's writes to a pipe it shares with the child) must not run in the child.
    let blocked = SignalsBlocked::new();
    let size = size_of::<libc::clone_args>();
    // SAFETY: the arguments outlive the call. The child only uses what is safe after a fork in a threaded process.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size) };
    if pid == 0 {
        child(plan);
    }
    let result = last_errno(pid);
    drop(blocked);
    result.during("clone3", "")?;
    // SAFETY: the kernel has just made this descriptor for us.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| Error::system("clone3", "", Errno::SRCH))?;
    Ok((pid, pidfd))
}

/// Blocks every signal in this thread until it is dropped.
pub(crate) struct SignalsBlocked(libc::sigset_t);

impl SignalsBlocked {
    pub(crate) fn new() -> Self {
        // SAFETY: all-zero is a valid set, and both sets are ours. With these arguments the call cannot fail.
        unsafe {
            let mut all: libc::sigset_t = std::mem::zeroed();
            let mut before: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
            Self(before)
        }
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        // SAFETY: the set was filled by the kernel. With these arguments the call cannot fail.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut()) };
    }
}

impl Sandbox {
    /// Readable once the whole tree is dead: for polling.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Its process ID on the host.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Blocks until the whole tree is dead.
    ///
    /// Returns the exit status as a shell gives it: the code, or 128 + the signal. `EINTR` when this thread gets a
    /// signal meanwhile: call again.
    pub fn wait(&self) -> Result<i32> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(status) = state.status {
            return Ok(status);
        }
        let status = wait_for(&self.pidfd)?;
        state.status = Some(status);
        if let Some(witness) = state.witness.take() {
            state.links = witness.testify()?;
        }
        Ok(status)
    }

    /// Whether nobody has a file of its root file system open for writing any more, see [`writers`]. To be asked when
    /// [`Self::wait`] has returned, and again if not: of the end of a writer nobody tells.
    pub fn is_written(&self) -> Result<bool> {
        let mut writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(some) = writers.as_ref()
            && !some.are_gone()?
        {
            return Ok(false);
        }
        *writers = None;
        Ok(true)
    }

    /// Takes away the mount points that were made for it, when [`Self::wait`] has returned. A drop does that, too, and has
    /// nobody to tell its errors.
    pub fn close(&self) -> Result<()> {
        // They hold its mount namespace, where something is mounted there.
        *self.writers.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.stubs.remove()
    }

    /// How many hard links were made, once [`Self::wait`] has returned.
    pub fn links(&self) -> Links {
        let state = self.state.lock();
        state.unwrap_or_else(PoisonError::into_inner).links
    }

    /// SIGKILL to all of it. Nothing happens if it is dead already.
    pub fn kill(&self) -> Result<()> {
        kill(&self.pidfd)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        // A drop has nobody to report to; `kill`, `wait` and `close` are for those who want to know.
        if state.status.is_none() {
            let _ = kill(&self.pidfd).and_then(|()| reap(&self.pidfd));
        }
        let _ = self.close();
    }
}

fn kill(pidfd: &OwnedFd) -> Result<()> {
    match pidfd_send_signal(pidfd, Signal::KILL) {
        Err(Errno::SRCH) => Ok(()),
        result => result.during("pidfd_send_signal", ""),
    }
}

/// The first process of a PID namespace is not reported dead before every other one is (kernel,
/// `zap_pid_ns_processes`): no process of the tree can touch a file after this.
fn wait_for(pidfd: &OwnedFd) -> Result<i32> {
    let status = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
    let status = status.during("waitid", "")?;
    let status = status.as_ref().and_then(exit_status);
    status.ok_or_else(|| Error::system("waitid", "", Errno::CHILD))
}

fn exit_status(status: &WaitIdStatus) -> Option<i32> {
    let signal = status.terminating_signal().map(|signal| 128 + signal);
    status.exit_status().or(signal)
}

fn reap(pidfd: &OwnedFd) -> Result<i32> {
    loop {
        match wait_for(pidfd) {
            Err(Error::System {
                errno: libc::EINTR, ..
            }) => {}
            result => return result,
        }
    }
}
