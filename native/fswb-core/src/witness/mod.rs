//! Tells whether the processes of a command made hard links. A watcher of directories needs to know: a file that is
//! changed through a name which is gone again leaves no event under any name that is still there.
//!
//! A seccomp filter ([`filter`]) stops every call that can make a hard link, in every ABI of the kernel, and every
//! `io_uring_setup`, whose ring can make links without a call, and every call that begins a mount: an overlay, which any
//! process may mount in a user namespace, makes its whiteouts by links of one inode. A thread ([`supervisor`]) counts and lets go on. It looks
//! at the number of the call, which the kernel vouches for, and at no argument: what a pointer leads to may change after
//! it was looked at (seccomp_unotify(2)). It counts before it lets go on, so no link is made uncounted; calls that fail
//! are counted too.
//!
//! The filter is installed in the child, which sends the kernel's descriptor for it to the parent ([`crate::handover`]).
//! It stays with every descendant, whatever that executes or becomes, until it ends.

mod filter;
mod supervisor;

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::io::fcntl_dupfd_cloexec;

use self::filter::Filter;
use self::supervisor::Supervisor;
use crate::error::{Context, Error, Result};
use crate::handover;

/// How many hard links were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// No more than this: calls that failed are counted too.
    AtMost(u64),
    /// Nobody can tell: the filter could not be installed, an io_uring was set up, or something
    /// was mounted.
    Unknown,
}

/// What the child needs, laid out before it exists: it may not allocate.
#[derive(Debug)]
pub(crate) struct Instruction {
    filter: Filter,
    socket: OwnedFd,
}

impl Instruction {
    /// The same with its descriptor at `lowest` or above.
    pub(crate) fn above(self, lowest: i32) -> Result<Self> {
        let socket = fcntl_dupfd_cloexec(&self.socket, lowest).during("fcntl", "")?;
        Ok(Self { socket, ..self })
    }

    /// In the child: from here on it is watched, and all that it starts. A kernel that refuses is told to the parent;
    /// so is a failure to tell, by the silence.
    ///
    /// With CAP_SYS_ADMIN nothing else changes for the child. Without it the kernel demands `no_new_privs`
    /// (seccomp(2)): set-user-ID programs then run without their power.
    pub(crate) fn follow(&self) {
        let installed = match self.filter.install() {
            Err(Errno::ACCESS) => {
                filter::renounce_privileges().and_then(|()| self.filter.install())
            }
            result => result,
        };
        handover::send(self.socket.as_fd(), installed);
    }
}

/// The parent's side, until the child has been told what to do.
#[derive(Debug)]
pub(crate) struct Expectation(OwnedFd);

/// The two sides of one witness.
pub(crate) fn prepare() -> Result<(Instruction, Expectation)> {
    let (ours, theirs) = handover::channel()?;
    let filter = Filter::new();
    let socket = theirs;
    Ok((Instruction { filter, socket }, Expectation(ours)))
}

impl Expectation {
    /// Takes over. To be called when the child has followed its instruction: it does not wait.
    pub(crate) fn meet(self) -> Result<Witness> {
        let supervisor = match handover::receive(&self.0)? {
            Ok(listener) => Some(Supervisor::start(listener)?),
            Err(_) => None,
        };
        Ok(Witness { supervisor })
    }
}

/// Watches a running command. It must live as long as the command does: without it the kernel fails the calls in
/// question with `ENOSYS`.
#[derive(Debug)]
pub struct Witness {
    supervisor: Option<Supervisor>,
}

impl Witness {
    /// What was seen. To be called when every process of the command is dead; ends the watch.
    pub fn testify(self) -> Result<Links> {
        self.supervisor.map_or(Ok(Links::Unknown), Supervisor::stop)
    }
}

/// Whether the kernel lets this process watch: an error if not, `EBUSY` where another listener watches us already.
pub fn probe() -> Result<()> {
    // A filter belongs to a thread, and this thread ends with the probe. Nothing it does from here on is filtered.
    let probed = std::thread::Builder::new()
        .name("link-witness-probe".to_owned())
        .spawn(|| {
            let filter = Filter::new();
            match filter.install() {
                Err(Errno::ACCESS) => filter::renounce_privileges().and_then(|()| filter.install()),
                result => result,
            }
            .map(drop)
        })
        .during("clone", "")?
        .join();
    match probed {
        Ok(result) => result.during("seccomp", ""),
        Err(_) => Err(Error::system("seccomp", "", Errno::IO)),
    }
}
