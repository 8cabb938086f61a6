//! Opening a file to read it, and nothing else: no link is followed, no FIFO waited for, no access time moved; and whether
//! somebody else has it open to write to it.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::{self, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::error::{Context, Error, Result};
use crate::path::RelPath;

/// How long the holder of a lease is waited for. The kernel itself takes a lease away after 45 s, unless it was set
/// otherwise (proc_sys_fs(5), lease-break-time).
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);

/// linux/fcntl.h; the C library's crate has none for every target.
const F_SETSIG: libc::c_int = 10;

/// Opens `name` in an open directory for reading, its access time left alone where allowed. `path` is for messages.
pub(crate) fn open_quietly(
    directory: BorrowedFd<'_>,
    name: &[u8],
    path: &RelPath,
) -> Result<OwnedFd> {
    // O_NONBLOCK: should a FIFO have taken the name, the open must not wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let open = |flags| fs::openat2(directory, name, flags, Mode::empty(), resolve);
    past_leases(path, || match open(flags | OFlags::NOATIME) {
        // open(2): O_NOATIME is for the owner and for CAP_FOWNER only.
        Err(Errno::PERM) => open(flags),
        opened => opened,
    })
}

/// What `open` opens without waiting (`O_NONBLOCK`), once nobody holds a lease on it any more (fcntl(2), `F_SETLEASE`:
/// file servers do). An open that fails for a lease has the kernel ask its holder to give way, as one that waits does.
pub(crate) fn past_leases(
    path: &RelPath,
    open: impl Fn() -> rustix::io::Result<OwnedFd>,
) -> Result<OwnedFd> {
    within(PATIENCE, path, open)
}

fn within(
    patience: Duration,
    path: &RelPath,
    open: impl Fn() -> rustix::io::Result<OwnedFd>,
) -> Result<OwnedFd> {
    let start = Instant::now();
    loop {
        match open() {
            Err(Errno::AGAIN) if start.elapsed() < patience => std::thread::sleep(PAUSE),
            Err(Errno::AGAIN) => {
                let reason = format!(
                    "a process holds a lease on it and has not given it up in {} seconds (fcntl(2), F_SETLEASE): end \
                     that process, a file server perhaps",
                    patience.as_secs()
                );
                return Err(Error::refused(path, reason));
            }
            opened => return opened.during("openat2", path),
        }
    }
}

/// Whether no descriptor, and so no mapping, is open for writing to the file: only then the kernel gives a read lease, to
/// its owner and to CAP_LEASE (fcntl(2)). It is given back at once. Where none is given, for whatever reason: no.
pub(crate) fn nobody_writes(file: BorrowedFd<'_>) -> bool {
    let fd = file.as_raw_fd();
    // Who opens it for writing at this moment waits for us (but for O_NONBLOCK), and we are sent a signal: one that is
    // ignored, not SIGIO, which kills.
    // SAFETY: the calls take numbers alone, and the descriptor is open.
    unsafe {
        libc::fcntl(fd, F_SETSIG, libc::SIGURG) == 0
            && libc::fcntl(fd, libc::F_SETLEASE, libc::F_RDLCK) == 0
            && libc::fcntl(fd, libc::F_SETLEASE, libc::F_UNLCK) == 0
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::os::fd::AsFd;

    use super::*;

    fn leased(times: usize) -> impl Fn() -> rustix::io::Result<OwnedFd> {
        let left = Cell::new(times);
        move || match left.replace(left.get().saturating_sub(1)) {
            0 => fs::open("/", OFlags::RDONLY, Mode::empty()),
            _ => Err(Errno::AGAIN),
        }
    }

    #[test]
    fn a_lease_is_waited_for_as_long_as_the_kernel_lets_it_be_held() {
        assert!(past_leases(&RelPath::ROOT, leased(3)).is_ok());
        let refused = within(Duration::ZERO, &RelPath::ROOT, leased(3));
        assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
    }

    #[test]
    fn a_link_is_not_followed_and_a_fifo_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let at = std::fs::File::open(directory.path()).unwrap();
        let path = RelPath::new("p").unwrap();
        fs::mknodat(&at, "p", rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert!(open_quietly(at.as_fd(), b"p", &path).is_ok());
        std::os::unix::fs::symlink("/etc/passwd", directory.path().join("l")).unwrap();
        let linked = open_quietly(at.as_fd(), b"l", &path).unwrap_err();
        assert_eq!(linked, Error::system("openat2", &path, Errno::LOOP));
    }
}
