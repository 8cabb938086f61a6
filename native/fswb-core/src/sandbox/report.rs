//! How the child tells its parent what failed: one short message through a pipe that closes by itself on `execve`.

use std::ffi::CStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;

use crate::error::{Context, Error, Result};

macro_rules! operations {
    ($($variant:ident $name:literal,)*) => {
        /// The system calls of the child, as their manual pages are named.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum Operation { $($variant,)* }

        const NAMES: &[&str] = &[$($name,)*];
    };
}

operations! {
    Unshare "unshare",
    Setns "setns",
    Mount "mount",
    Umount "umount2",
    OpenTree "open_tree",
    MoveMount "move_mount",
    Fsopen "fsopen",
    Fsconfig "fsconfig",
    Fsmount "fsmount",
    PivotRoot "pivot_root",
    Openat "openat",
    Openat2 "openat2",
    Read "read",
    Write "write",
    Fchown "fchown",
    Fchmod "fchmod",
    Mkdirat "mkdirat",
    Mknodat "mknodat",
    Symlinkat "symlinkat",
    Stat "stat",
    Chdir "chdir",
    Fchdir "fchdir",
    Getcwd "getcwd",
    Socket "socket",
    Prlimit "prlimit",
    Sethostname "sethostname",
    Setsid "setsid",
    Dup "dup2",
    Ioctl "ioctl",
    CloseRange "close_range",
    Sigaction "sigaction",
    Sigprocmask "sigprocmask",
    Keyctl "keyctl",
    Prctl "prctl",
    Setgroups "setgroups",
    Setresgid "setresgid",
    Setresuid "setresuid",
    Capset "capset",
    Capget "capget",
    Poll "poll",
    Execveat "execveat",
    Execve "execve",
}

/// What stopped the child.
#[derive(Debug)]
pub(super) struct Failure<'a> {
    pub(super) operation: Operation,
    pub(super) path: &'a CStr,
    pub(super) errno: Errno,
}

/// The result of a step in the child.
pub(super) type Step<'a, T = ()> = std::result::Result<T, Failure<'a>>;

/// Names the operation and path of a failed system call.
pub(super) trait During<'a, T> {
    fn of(self, operation: Operation, path: &'a CStr) -> Step<'a, T>;
}

impl<'a, T> During<'a, T> for rustix::io::Result<T> {
    fn of(self, operation: Operation, path: &'a CStr) -> Step<'a, T> {
        self.map_err(|errno| Failure {
            operation,
            path,
            errno,
        })
    }
}

/// Enough for every path worth showing, and far below `PIPE_BUF`, so the message arrives in one piece.
const MESSAGE: usize = 1024;
const HEAD: usize = 5;

impl Failure<'_> {
    /// Sends it. In the child: no allocation.
    pub(super) fn send(&self, pipe: BorrowedFd<'_>) {
        let mut message = [0_u8; MESSAGE];
        let errno = self.errno.raw_os_error().to_ne_bytes();
        let head = [self.operation as u8].into_iter().chain(errno);
        let bytes = head.chain(self.path.to_bytes().iter().copied());
        let mut length = 0;
        for (slot, byte) in message.iter_mut().zip(bytes) {
            *slot = byte;
            length += 1;
        }
        // A parent that is gone reads no reports: there is nobody left to tell.
        let _ = rustix::io::write(pipe, message.get(..length).unwrap_or_default());
    }
}

/// Waits until the child has executed the command (`None`) or has given up.
pub(super) fn receive(pipe: OwnedFd) -> Result<Option<Error>> {
    let mut message = Vec::new();
    File::from(pipe)
        .read_to_end(&mut message)
        .during("read", "the sandbox's report")?;
    let Some((head, path)) = message.split_at_checked(HEAD) else {
        return Ok(None);
    };
    let [operation, errno @ ..] = head else {
        return Ok(None);
    };
    let errno = errno.try_into().map_or(libc::EIO, i32::from_ne_bytes);
    let operation = NAMES.get(usize::from(*operation)).copied();
    Ok(Some(Error::System {
        operation: operation.unwrap_or("clone3"),
        path: path.to_vec(),
        errno,
    }))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    fn round_trip(failure: &Failure<'_>) -> Option<Error> {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        failure.send(writer.as_fd());
        drop(writer);
        receive(reader).unwrap()
    }

    #[test]
    fn a_failure_arrives_with_operation_path_and_errno() {
        let failure = Failure {
            operation: Operation::Execve,
            path: c"/bin/sh",
            errno: Errno::NOENT,
        };
        let expected = Error::system("execve", "/bin/sh", Errno::NOENT);
        assert_eq!(round_trip(&failure), Some(expected));
    }

    #[test]
    fn a_long_path_is_cut_and_not_lost() {
        let path = std::ffi::CString::new(vec![b'x'; 5000]).unwrap();
        let failure = Failure {
            operation: Operation::Unshare,
            path: &path,
            errno: Errno::PERM,
        };
        let Some(Error::System {
            operation, path, ..
        }) = round_trip(&failure)
        else {
            panic!("no report");
        };
        assert_eq!((operation, path.len()), ("unshare", MESSAGE - HEAD));
    }

    #[test]
    fn silence_means_success() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        drop(writer);
        assert_eq!(receive(reader).unwrap(), None);
    }
}
