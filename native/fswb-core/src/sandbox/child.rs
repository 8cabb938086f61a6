//! The story of the child, from the clone to `execve`.
//!
//! It is a copy of a process that may have had other threads, so a lock may be held for ever, the allocator's too:
//! only system calls and the stack are used, nothing that owns heap memory is dropped, nothing panics.

use std::convert::Infallible;
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, RawFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Access, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::identity::{self, assume, die_with_parent, last_errno, reset_signals};
use super::launcher;
use super::mount::Network;
use super::mounts;
use super::network;
use super::plan::Plan;
use super::report::{During, Operation, Step};
use super::writers;

/// Becomes the command, or reports why not and exits.
pub(super) fn run(plan: &Plan<'_>) -> ! {
    let failure = match become_command(plan) {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    failure.send(plan.report.as_fd());
    // SAFETY: ends the process at once, without the handlers that belong to the parent.
    unsafe { libc::_exit(127) }
}

fn become_command<'a>(plan: &'a Plan<'_>) -> Step<'a, Infallible> {
    reset_signals()?;
    rustix::process::umask(Mode::empty());
    mounts::enter(plan)?;
    writers::send(&plan.place);
    if plan.network == Network::Loopback {
        network::raise_loopback()?;
    }
    rustix::process::umask(Mode::from_raw_mode(0o022));
    rustix::system::sethostname(plan.hostname).of(Operation::Sethostname, c"")?;
    // The builder's terminal is no terminal of the command: nothing can be typed into it (TIOCSTI), no key reaches it.
    rustix::process::setsid().of(Operation::Setsid, c"")?;
    standard_streams(plan)?;
    // While it has the capability that this takes, and a descriptor to tell the parent by.
    if let Some(witness) = &plan.witness {
        witness.follow();
    }
    // While it may raise them.
    identity::limit(plan)?;
    if let Some(namespace) = &plan.emulators {
        let kind = Some(LinkNameSpaceType::User);
        move_into_link_name_space(namespace.as_fd(), kind).of(Operation::Setns, c"")?;
    }
    close_others(plan)?;
    enter_directory(plan)?;
    assume(plan)?;
    die_with_parent()?;
    exit_if_orphaned(plan)?;
    await_release(plan)?;
    unblock_signals()?;
    execute(plan)
}

fn standard_streams<'a>(plan: &'a Plan<'_>) -> Step<'a> {
    let stdin = match &plan.stdin {
        Some(stdin) => stdin.as_raw_fd(),
        None => {
            let null = rustix::fs::openat(CWD, c"/dev/null", OFlags::RDONLY, Mode::empty());
            null.of(Operation::Openat, c"/dev/null")?.into_raw_fd()
        }
    };
    let sources = [stdin, plan.stdout.as_raw_fd(), plan.stderr.as_raw_fd()];
    for (number, source) in (0..).zip(sources) {
        copy_descriptor(source, number)?;
    }
    if plan.terminal {
        // SAFETY: TIOCSCTTY takes numbers only. (ioctl_tty(2): this is a session leader without a terminal, and the
        // terminal is no other session's.)
        let controlled = unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) };
        last_errno(controlled.into()).of(Operation::Ioctl, c"TIOCSCTTY")?;
    }
    Ok(())
}

/// The copy stays open across `execve`.
fn copy_descriptor<'a>(source: RawFd, number: RawFd) -> Step<'a> {
    // SAFETY: both are numbers; what the parent has at 0 to 3 is of no use here.
    let copied = unsafe { libc::dup2(source, number) };
    last_errno(copied.into()).of(Operation::Dup, c"")
}

/// Nothing but the standard streams, and what `execve` closes.
fn close_others<'a>(plan: &'a Plan<'_>) -> Step<'a> {
    let mut kept = [&plan.report, &plan.launcher, &plan.released].map(AsRawFd::as_raw_fd);
    kept.sort_unstable();
    // All of these numbers are above 2: see `Plan::new`.
    let mut first = 3;
    for next in kept {
        close_range(first, next - 1)?;
        first = next + 1;
    }
    close_range(first, libc::c_int::MAX)
}

fn close_range<'a>(first: RawFd, last: RawFd) -> Step<'a> {
    if first > last {
        return Ok(());
    }
    // SAFETY: every descriptor in the range is a copy that nothing in this process uses any more.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    last_errno(closed).of(Operation::CloseRange, c"")
}

/// Enters the working directory and makes sure that it is one inside: `/proc/self/fd/N` has led outside before
/// (CVE-2024-21626).
fn enter_directory<'a>(plan: &'a Plan<'_>) -> Step<'a> {
    let cwd = plan.cwd.as_c_str();
    rustix::process::chdir(cwd).of(Operation::Chdir, cwd)?;
    let mut buffer = [0_u8; libc::PATH_MAX as usize];
    // SAFETY: the kernel writes no more than the length given. The C library's version may allocate.
    let length = unsafe { libc::syscall(libc::SYS_getcwd, buffer.as_mut_ptr(), buffer.len()) };
    last_errno(length).of(Operation::Getcwd, cwd)?;
    match buffer.first() {
        Some(b'/') => Ok(()),
        // getcwd(2): "(unreachable)" comes first for a directory outside the root.
        _ => Err(Errno::NOENT).of(Operation::Getcwd, cwd),
    }
}

/// The parent may have died before `die_with_parent`. Then nobody has the other end of the report open: ours was
/// closed with all the others, and the kernel closes a dead process's descriptors before it tells its children.
fn exit_if_orphaned<'a>(plan: &'a Plan<'_>) -> Step<'a> {
    let mut pipe = [PollFd::new(&plan.report, PollFlags::empty())];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let polled = poll(&mut pipe, Some(&at_once)).of(Operation::Poll, c"")?;
    if polled > 0 {
        // SAFETY: as in `run`.
        unsafe { libc::_exit(127) }
    }
    Ok(())
}

/// A mount that the parent still has open could not be unmounted by the command. No signal comes before it, and who dies
/// meanwhile takes this process along.
fn await_release<'a>(plan: &'a Plan<'_>) -> Step<'a> {
    let mut count = [0_u8; 8];
    let read = rustix::io::read(&plan.released, &mut count);
    read.map(drop).of(Operation::Read, c"eventfd")
}

fn unblock_signals<'a>() -> Step<'a> {
    // SAFETY: all-zero is a valid set, and `sigemptyset` fills it; the old mask is not asked for.
    let set = unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut())
    };
    last_errno(set.into()).of(Operation::Sigprocmask, c"")
}

/// Executes the launcher, which executes the first candidate that can be: as for `execvp`, one that is missing or may not
/// be executed gives way to the next.
fn execute<'a>(plan: &'a Plan<'_>) -> Step<'a, Infallible> {
    plan.argv.set_first(candidate(plan)?);
    copy_descriptor(plan.report.as_raw_fd(), launcher::REPORT)?;
    // SAFETY: the strings are NUL-terminated, the vectors NULL-terminated, and all live as long as the plan.
    let executed = unsafe {
        libc::syscall(
            libc::SYS_execveat,
            plan.launcher.as_raw_fd(),
            c"".as_ptr(),
            plan.argv.as_ptr(),
            plan.envp.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    match last_errno(executed) {
        Err(errno) => Err(errno).of(Operation::Execveat, c""),
        Ok(()) => Err(Errno::INVAL).of(Operation::Execveat, c""),
    }
}

fn candidate<'a>(plan: &'a Plan<'_>) -> Step<'a, &'a CStr> {
    let mut reason = Errno::NOENT;
    for candidate in &plan.candidates {
        match executable(candidate) {
            Ok(()) => return Ok(candidate),
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(Errno::ACCESS) => reason = Errno::ACCESS,
            Err(errno) => {
                reason = errno;
                break;
            }
        }
    }
    Err(reason).of(Operation::Execve, plan.command())
}

/// execve(2): only a regular file is executed. The real user is the effective one by now, so access(2) asks for the
/// right one.
fn executable(path: &CStr) -> rustix::io::Result<()> {
    let stat = rustix::fs::stat(path)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Errno::ACCESS);
    }
    rustix::fs::access(path, Access::EXEC_OK)
}
