//! The loopback device of a network namespace of its own. Runs in the child: no allocation, no locks.

use std::os::fd::AsRawFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::identity::last_errno;
use super::report::{During, Operation, Step};

/// `struct ifreq` of netdevice(7), as far as these calls use it; the kernel copies all 40 bytes.
#[repr(C)]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    flags: libc::c_short,
    rest: [u8; 22],
}

/// Brings `lo` up: a new namespace has it, but down.
pub(super) fn raise_loopback<'a>() -> Step<'a> {
    let socket = socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    );
    let socket = match socket {
        // A kernel without IPv4 has no loopback device to raise.
        Err(Errno::AFNOSUPPORT) => return Ok(()),
        result => result.of(Operation::Socket, c"")?,
    };
    let mut name = [0; libc::IFNAMSIZ];
    (name[0], name[1]) = (b'l', b'o');
    let request = Request {
        name,
        flags: (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short,
        rest: [0; 22],
    };
    // SAFETY: the structure has the size that the kernel reads, and outlives the call.
    let raised = unsafe {
        libc::syscall(
            libc::SYS_ioctl,
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS,
            &raw const request,
        )
    };
    last_errno(raised).of(Operation::Ioctl, c"lo")
}
