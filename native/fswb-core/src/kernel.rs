//! Whether the kernel has the system calls that a build cannot do without, and lets us have them.
//!
//! Asked by calling them, never by the kernel's version: distributions add calls to old kernels, and a container's
//! seccomp profile may keep those of a new one from us (Docker's older ones refuse every call they do not know).

use rustix::io::Errno;

use crate::sandbox::identity::last_errno;

/// A system call that is not to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// As its manual page is named.
    pub name: &'static str,
    /// The first Linux that has it.
    pub since: &'static str,
    /// What came instead of the kernel's complaint about our arguments.
    pub errno: i32,
}

struct Probe {
    name: &'static str,
    since: &'static str,
    number: libc::c_long,
    /// Such that the kernel refuses them before it looks at anything else.
    arguments: [libc::c_long; 5],
}

const WRONG_FLAGS: libc::c_long = u32::MAX as libc::c_long;

/// To work beneath a root. A structure of no size is `EINVAL` (openat2(2)).
const FILES: [Probe; 1] = [Probe {
    name: "openat2",
    since: "5.6",
    number: libc::SYS_openat2,
    arguments: [-1, 0, 0, 0, 0],
}];

/// To isolate a RUN. Those that mount ask for `CAP_SYS_ADMIN` first, and say `EPERM` without.
const RUN: [Probe; 9] = [
    Probe {
        name: "pidfd_send_signal",
        since: "5.1",
        number: libc::SYS_pidfd_send_signal,
        arguments: [-1, 0, 0, 0, 0], // no descriptor
    },
    Probe {
        name: "open_tree",
        since: "5.2",
        number: libc::SYS_open_tree,
        arguments: [-1, 0, WRONG_FLAGS, 0, 0],
    },
    Probe {
        name: "move_mount",
        since: "5.2",
        number: libc::SYS_move_mount,
        arguments: [-1, 0, -1, 0, WRONG_FLAGS],
    },
    Probe {
        name: "fsopen",
        since: "5.2",
        number: libc::SYS_fsopen,
        arguments: [0, WRONG_FLAGS, 0, 0, 0],
    },
    Probe {
        name: "fsconfig",
        since: "5.2",
        number: libc::SYS_fsconfig,
        arguments: [-1, 0, 0, 0, 0], // no descriptor
    },
    Probe {
        name: "fsmount",
        since: "5.2",
        number: libc::SYS_fsmount,
        arguments: [-1, WRONG_FLAGS, 0, 0, 0],
    },
    Probe {
        name: "clone3",
        since: "5.3",
        number: libc::SYS_clone3,
        arguments: [0, 0, 0, 0, 0], // a structure of no size
    },
    Probe {
        name: "close_range",
        since: "5.9",
        number: libc::SYS_close_range,
        arguments: [1, 0, 0, 0, 0], // the last before the first
    },
    Probe {
        name: "mount_setattr",
        since: "5.12",
        number: libc::SYS_mount_setattr,
        arguments: [-1, 0, WRONG_FLAGS, 0, 0],
    },
];

/// The calls that are not to be had, of those that every step on files needs.
pub fn refused_for_files() -> Vec<Refused> {
    refused(&FILES)
}

/// The calls that are not to be had, of those that isolating a RUN needs. With `CAP_SYS_ADMIN` only: else those that
/// mount are always among them.
pub fn refused_for_run() -> Vec<Refused> {
    refused(&RUN)
}

fn refused(probes: &[Probe]) -> Vec<Refused> {
    probes.iter().filter_map(ask).collect()
}

fn ask(probe: &Probe) -> Option<Refused> {
    let [first, second, third, fourth, fifth] = probe.arguments;
    // SAFETY: no argument is a valid pointer, size or descriptor: the call changes nothing and touches no memory.
    let answer = unsafe { libc::syscall(probe.number, first, second, third, fourth, fifth, 0) };
    match last_errno(answer) {
        // No such call; a profile that says so or refuses it. Every other answer is from the call itself.
        Err(errno @ (Errno::NOSYS | Errno::PERM | Errno::ACCESS)) => Some(Refused {
            name: probe.name,
            since: probe.since,
            errno: errno.raw_os_error(),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_no_kernel_has_is_refused_and_the_others_complain_about_their_arguments() {
        let none = Probe {
            name: "none",
            since: "never",
            number: 100_000,
            arguments: [0; 5],
        };
        assert_eq!(
            refused(&[none]),
            [Refused {
                name: "none",
                since: "never",
                errno: libc::ENOSYS
            }]
        );
        assert_eq!(refused_for_files(), []);
        if rustix::process::geteuid().is_root() {
            assert_eq!(refused_for_run(), []);
        }
        for probe in FILES.iter().chain(&RUN) {
            let [first, second, third, fourth, fifth] = probe.arguments;
            // SAFETY: as in `ask`.
            let answer =
                unsafe { libc::syscall(probe.number, first, second, third, fourth, fifth, 0) };
            assert_eq!(answer, -1, "{} did something", probe.name);
        }
    }
}
