//! The filter: classic BPF that looks at the ABI and the number of a call and at nothing else. So the kernel works out
//! beforehand which calls it allows, and does not run it for them (Linux 5.11, `seccomp_cache_prepare`).

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use libc::{sock_filter, sock_fprog};
use rustix::io::Errno;

use crate::sandbox::last_errno;

/// What a call of the filtered kind is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// It makes one hard link at most.
    Link,
    /// It makes a ring or an overlay that may make any number, or it belongs to an ABI we know nothing of.
    Anything,
}

/// An ABI in which programs can call this kernel. Numbers from its system call tables (`arch/*/…/syscall*.tbl`).
struct Abi {
    /// `AUDIT_ARCH_*` (linux/audit.h).
    arch: u32,
    /// Of the call's number, what counts.
    mask: u32,
    /// link (where there is one) and linkat.
    links: &'static [u32],
    /// The old call that mounts.
    mount: u32,
}

/// The same everywhere, as all numbers from 424 on.
const IO_URING_SETUP: u32 = 425;
/// Begins every mount of a new file system that does not use mount(2).
const FSOPEN: u32 = 430;

#[cfg(target_arch = "x86_64")]
const ABIS: [Abi; 2] = [
    // AUDIT_ARCH_X86_64; x32 is the same but for a bit, __X32_SYSCALL_BIT.
    Abi {
        arch: 0xC000_003E,
        mask: !0x4000_0000,
        links: &[86, 265],
        mount: 165,
    },
    // AUDIT_ARCH_I386.
    Abi {
        arch: 0x4000_0003,
        mask: !0,
        links: &[9, 303],
        mount: 21,
    },
];

#[cfg(target_arch = "aarch64")]
const ABIS: [Abi; 2] = [
    // AUDIT_ARCH_AARCH64.
    Abi {
        arch: 0xC000_00B7,
        mask: !0,
        links: &[37],
        mount: 40,
    },
    // AUDIT_ARCH_ARM.
    Abi {
        arch: 0x4000_0028,
        mask: !0,
        links: &[9, 330],
        mount: 21,
    },
];

/// Which kind a call is that the filter stopped.
pub(super) fn classify(arch: u32, number: u32) -> Call {
    let abi = ABIS.iter().find(|abi| abi.arch == arch);
    match abi {
        Some(abi) if abi.links.contains(&(number & abi.mask)) => Call::Link,
        _ => Call::Anything,
    }
}

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;

#[derive(Debug)]
pub(super) struct Filter(Vec<sock_filter>);

impl Filter {
    pub(super) fn new() -> Self {
        let mut program = vec![load(ARCH)];
        for abi in &ABIS {
            let mut section = vec![load(NUMBER), and(abi.mask)];
            for &number in abi
                .links
                .iter()
                .chain([&abi.mount, &IO_URING_SETUP, &FSOPEN])
            {
                section.extend([
                    unless_equal(number, 1),
                    answer(libc::SECCOMP_RET_USER_NOTIF),
                ]);
            }
            section.push(answer(libc::SECCOMP_RET_ALLOW));
            // A section is far shorter than the 255 instructions that a jump reaches.
            program.push(unless_equal(
                abi.arch,
                u8::try_from(section.len()).unwrap_or(u8::MAX),
            ));
            program.extend(section);
        }
        program.push(answer(libc::SECCOMP_RET_USER_NOTIF));
        Self(program)
    }

    /// Installs it for the calling thread and returns the kernel's descriptor for it. Allocates nothing.
    pub(super) fn install(&self) -> rustix::io::Result<OwnedFd> {
        // SPEC_ALLOW: before Linux 5.16 a filter switched mitigations on that made the command slower.
        let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
        // Since Linux 5.19: a call that is being answered is not interrupted by a signal handler.
        match self.install_with(flags | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) {
            Err(Errno::INVAL) => self.install_with(flags),
            result => result,
        }
    }

    fn install_with(&self, flags: libc::c_ulong) -> rustix::io::Result<OwnedFd> {
        let program = sock_fprog {
            len: u16::try_from(self.0.len()).map_err(|_| Errno::INVAL)?,
            filter: self.0.as_ptr().cast_mut(),
        };
        // SAFETY: the program outlives the call, which copies it and does not write to it.
        let returned = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                flags,
                &raw const program,
            )
        };
        last_errno(returned)?;
        let fd = RawFd::try_from(returned).map_err(|_| Errno::BADF)?;
        // SAFETY: the kernel has just made this descriptor for us.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

/// `no_new_privs` for the calling thread (prctl(2)).
pub(super) fn renounce_privileges() -> rustix::io::Result<()> {
    rustix::thread::set_no_new_privs(true)
}

const fn instruction(code: u32, k: u32, jf: u8) -> sock_filter {
    sock_filter {
        // All codes have 16 bits.
        code: code as u16,
        jt: 0,
        jf,
        k,
    }
}

const fn load(offset: u32) -> sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0)
}

const fn and(mask: u32) -> sock_filter {
    instruction(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, mask, 0)
}

const fn unless_equal(value: u32, skip: u8) -> sock_filter {
    instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, skip)
}

const fn answer(action: u32) -> sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, action, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would do with the program, for the few instructions we use.
    fn run(filter: &Filter, arch: u32, number: u32) -> u32 {
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let step = filter.0[at];
            at += 1;
            match u32::from(step.code) & 7 {
                libc::BPF_LD => accumulator = if step.k == ARCH { arch } else { number },
                libc::BPF_ALU => accumulator &= step.k,
                libc::BPF_JMP if accumulator != step.k => at += usize::from(step.jf),
                libc::BPF_JMP => {}
                _ => return step.k,
            }
        }
    }

    fn stopped(arch: u32) -> Vec<u32> {
        let filter = Filter::new();
        let numbers = (0..600).chain(0x4000_0000..0x4000_0258).chain([u32::MAX]);
        numbers
            .filter(|&number| run(&filter, arch, number) == libc::SECCOMP_RET_USER_NOTIF)
            .collect()
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn exactly_the_calls_that_make_links_are_stopped_in_every_abi() {
        let x86_64 = [86, 165, 265, 425, 430];
        let x32 = x86_64.map(|number| number | 0x4000_0000);
        assert_eq!(stopped(0xC000_003E), [x86_64, x32].concat());
        assert_eq!(stopped(0x4000_0003), [9, 21, 303, 425, 430]);
    }

    #[cfg(target_arch = "aarch64")]
    #[test]
    fn exactly_the_calls_that_make_links_are_stopped_in_every_abi() {
        assert_eq!(stopped(0xC000_00B7), [37, 40, 425, 430]);
        assert_eq!(stopped(0x4000_0028), [9, 21, 330, 425, 430]);
    }

    #[test]
    fn every_call_of_an_unknown_abi_is_stopped_and_may_be_anything() {
        assert_eq!(stopped(7).len(), 600 + 0x258 + 1);
        assert_eq!(classify(7, 1), Call::Anything);
    }

    #[test]
    fn a_link_is_a_link_and_a_ring_or_a_mount_may_be_anything() {
        let calls = ABIS.iter().flat_map(|abi| {
            let links = abi.links.iter();
            links.map(|&number| (abi.arch, number))
        });
        assert!(calls.clone().count() >= 3);
        for (arch, number) in calls {
            assert_eq!(classify(arch, number), Call::Link);
        }
        for abi in &ABIS {
            for number in [abi.mount, FSOPEN, IO_URING_SETUP] {
                assert_eq!(classify(abi.arch, number), Call::Anything);
            }
        }
    }
}
