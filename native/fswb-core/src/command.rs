//! Starts a command on the host itself: an ordinary child in the caller's terminal, with its environment.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;

use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::error::{Context, Error, Result};
use crate::root::c_string;
use crate::sandbox::last_errno;
use crate::witness::{self, Expectation, Links, Witness};

/// A command that was started. Who started it waits for it.
#[derive(Debug)]
pub struct Command {
    pid: u32,
    witness: Option<Witness>,
    /// Until it has testified.
    adoption: Option<Adoption>,
}

/// While it lasts, this process becomes the parent of every process below it that loses its own (prctl(2),
/// `PR_SET_CHILD_SUBREAPER`).
#[derive(Debug)]
struct Adoption {
    before: bool,
}

impl Adoption {
    fn begin() -> Result<Self> {
        let before = adopts().during("prctl", "")?;
        adopt(true).during("prctl", "")?;
        Ok(Self { before })
    }
}

impl Drop for Adoption {
    fn drop(&mut self) {
        // It has worked before, with the same kind of argument.
        let _ = adopt(self.before);
    }
}

fn adopts() -> rustix::io::Result<bool> {
    let mut adopts: libc::c_int = 0;
    // SAFETY: the kernel writes one int.
    let result = unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut adopts) };
    last_errno(result.into()).map(|()| adopts != 0)
}

fn adopt(adopt: bool) -> rustix::io::Result<()> {
    // SAFETY: takes numbers only.
    let result = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, libc::c_ulong::from(adopt)) };
    last_errno(result.into())
}

impl Command {
    /// Starts `argv`, searched on the PATH of this process as by execvp(3). It inherits the standard streams and no other
    /// descriptor. Processes that outlive their parent become children of this one, until [`Self::testify`].
    ///
    /// With `witness` its hard links are counted, see [`crate::witness`]. An error of the operation "execve" is about the
    /// command.
    pub fn start(argv: &[Vec<u8>], cwd: Option<&[u8]>, witness: bool) -> Result<Self> {
        let Some((program, arguments)) = argv.split_first() else {
            return Err(Error::refused("", "there is no command"));
        };
        // A NUL byte would be an error of the call that executes, but it is ours.
        for word in argv {
            c_string(word)?;
        }
        let mut command = std::process::Command::new(OsStr::from_bytes(program));
        command.args(arguments.iter().map(|word| OsStr::from_bytes(word)));
        // Opened here, so that a directory that is not there is not taken for a command that is not.
        let cwd = cwd.map(open_directory).transpose()?;
        let (instruction, expectation) = witness.then(witness::prepare).transpose()?.unzip();
        let prepare = move || {
            if let Some(directory) = &cwd {
                rustix::process::fchdir(directory)?;
            }
            default_signals();
            if let Some(instruction) = &instruction {
                instruction.follow();
            }
            Ok(())
        };
        // SAFETY: only system calls, on memory that is there already: safe after a fork in a threaded process.
        unsafe { command.pre_exec(prepare) };
        let adoption = Adoption::begin()?;
        let mut child = command.spawn().during("execve", program)?;
        // The child has followed its instruction: it has executed the command.
        match expectation.map(Expectation::meet).transpose() {
            Ok(witness) => Ok(Self {
                pid: child.id(),
                witness,
                adoption: Some(adoption),
            }),
            Err(error) => {
                child.kill().during("kill", program)?;
                child.wait().during("waitid", program)?;
                Err(error)
            }
        }
    }

    /// Its process ID. Nobody but the caller waits for it.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// How many hard links were made. To be called when all its processes are dead.
    pub fn testify(&mut self) -> Result<Links> {
        self.adoption = None;
        self.witness
            .take()
            .map_or(Ok(Links::Unknown), Witness::testify)
    }
}

fn open_directory(path: &[u8]) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty()).during("openat", path)
}

/// What Python ignores and its caller does not. (The standard library does the same for SIGPIPE, and for all that is
/// blocked.)
fn default_signals() {
    // SAFETY: SIG_DFL is no code of ours.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_DFL) };
}
