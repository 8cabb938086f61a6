//! Emulators of other machines, for commands of this builder alone.
//!
//! What interprets a program is registered with binfmt_misc, and then for all of the machine. Since Linux 6.7 a user
//! namespace can have a binfmt_misc of its own (Documentation/admin-guide/binfmt-misc.rst). One is made here in which every
//! ID of the builder is itself; a command that enters it at its end, when all is mounted, finds the emulators and nothing
//! else that is new. It loses what takes a capability over the host: devices cannot be made, nor low ports be bound.

use std::ffi::CString;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdGetfdFlags, pidfd_getfd};

use super::identity::{die_with_parent, last_errno};
use super::report::{self, During, Operation, Step};
use super::{fork, kill, mounts, reap};
use crate::error::{Context, Result};
use crate::root::c_string;

/// A user namespace with a binfmt_misc of its own. It lasts as long as this, and what is registered in it.
#[derive(Debug)]
pub struct Emulators {
    namespace: OwnedFd,
    /// The file system, mounted nowhere: the emulators go with it.
    _registry: OwnedFd,
}

/// All that the child needs: it may not allocate.
struct Enrolment {
    /// Readable when the child has its IDs. Its number becomes that of the registry.
    mapped: OwnedFd,
    report: OwnedFd,
    lines: Vec<CString>,
}

impl Emulators {
    /// Registers emulators; each line is what is written to binfmt_misc's `register`. `EPERM` of `fsconfig`: this kernel
    /// is older than 6.7.
    pub fn new(registrations: &[Vec<u8>]) -> Result<Self> {
        let (mapped, map) = pipe_with(PipeFlags::CLOEXEC).during("pipe2", "")?;
        let (reader, report) = pipe_with(PipeFlags::CLOEXEC).during("pipe2", "")?;
        let lines = registrations.iter().map(|line| c_string(line));
        let enrolment = Enrolment {
            mapped,
            report,
            lines: lines.collect::<Result<_>>()?,
        };
        let namespaces = libc::CLONE_NEWUSER | libc::CLONE_NEWNS;
        let (pid, pidfd) = fork(namespaces, run, &enrolment)?;
        let number = enrolment.mapped.as_raw_fd();
        // The report ends when the last writer is gone, and that must be the child.
        drop(enrolment);
        let made = collect(pid, &pidfd, &map, reader, number);
        kill(&pidfd)?;
        reap(&pidfd)?;
        made
    }

    pub(super) fn namespace(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }
}

fn collect(
    pid: Pid,
    pidfd: &OwnedFd,
    map: &OwnedFd,
    reader: OwnedFd,
    number: i32,
) -> Result<Emulators> {
    for kind in ["uid_map", "gid_map"] {
        let path = format!("/proc/{}/{kind}", pid.as_raw_nonzero());
        fs::write(&path, own_ids(kind)?).during("write", &path)?;
    }
    rustix::io::write(map, b"x").during("write", "the namespace's pipe")?;
    if let Some(error) = report::receive(reader)? {
        return Err(error);
    }
    let path = format!("/proc/{}/ns/user", pid.as_raw_nonzero());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    Ok(Emulators {
        namespace: openat(CWD, &path, flags, Mode::empty()).during("openat", &path)?,
        _registry: pidfd_getfd(pidfd, number, PidfdGetfdFlags::empty())
            .during("pidfd_getfd", "binfmt_misc")?,
    })
}

/// A map in which every ID of ours is itself (user_namespaces(7)).
fn own_ids(kind: &str) -> Result<String> {
    let path = format!("/proc/self/{kind}");
    let ours = fs::read_to_string(&path).during("read", &path)?;
    let lines = ours.lines().filter_map(|line| {
        let mut numbers = line.split_ascii_whitespace();
        let (inside, _, count) = (numbers.next()?, numbers.next()?, numbers.next()?);
        Some(format!("{inside} {inside} {count}\n"))
    });
    Ok(lines.collect())
}

/// Registers, and then waits to be killed: what it has open is taken from it.
fn run(enrolment: &Enrolment) -> ! {
    if let Err(failure) = enrol(enrolment) {
        failure.send(enrolment.report.as_fd());
    }
    // SAFETY: the descriptor is a copy of the child's, and used no more. Closing it ends the report.
    unsafe { libc::close(enrolment.report.as_raw_fd()) };
    loop {
        // SAFETY: waits for a signal, and takes nothing.
        unsafe { libc::pause() };
    }
}

fn enrol(enrolment: &Enrolment) -> Step<'_> {
    die_with_parent()?;
    let mut mapped = [0_u8];
    let count = rustix::io::read(&enrolment.mapped, &mut mapped).of(Operation::Read, c"")?;
    if count == 0 {
        return Err(Errno::PIPE).of(Operation::Read, c"");
    }
    let registry = mounts::filesystem(c"binfmt_misc", &[], MountAttrFlags::empty())?;
    for line in &enrolment.lines {
        let file = openat(&registry, c"register", OFlags::WRONLY, Mode::empty());
        let file = file.of(Operation::Openat, c"register")?;
        // One call: each is a line of its own.
        let written = rustix::io::write(&file, line.to_bytes()).of(Operation::Write, line)?;
        if written != line.to_bytes().len() {
            return Err(Errno::IO).of(Operation::Write, line);
        }
    }
    // SAFETY: both are numbers of descriptors that this process has.
    let copied = unsafe { libc::dup2(registry.as_raw_fd(), enrolment.mapped.as_raw_fd()) };
    last_errno(copied.into()).of(Operation::Dup, c"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_is_itself() {
        let map = own_ids("uid_map").unwrap();
        let line = map.lines().next().unwrap();
        let numbers: Vec<_> = line.split(' ').collect();
        assert_eq!(numbers.len(), 3);
        assert_eq!(numbers.first(), numbers.get(1));
    }
}
