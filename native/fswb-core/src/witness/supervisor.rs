//! The thread that answers for the filter.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;

use super::Links;
use super::filter::{Call, classify};
use crate::error::{Context, Error, Result};
use crate::sandbox::{SignalsBlocked, last_errno};

/// linux/seccomp.h, since Linux 6.6: whoever is woken runs on this CPU.
const SYNC_WAKE_UP: libc::c_ulong = 1;

#[derive(Debug)]
pub(super) struct Supervisor {
    seen: Arc<Seen>,
    stop: OwnedFd,
    thread: Option<JoinHandle<Result<()>>>,
}

#[derive(Debug, Default)]
struct Seen {
    links: AtomicU64,
    anything: AtomicBool,
}

impl Supervisor {
    pub(super) fn start(listener: OwnedFd) -> Result<Self> {
        let stop = eventfd(0, EventfdFlags::CLOEXEC).during("eventfd2", "")?;
        let stopped = stop.try_clone().during("fcntl", "")?;
        let seen = Arc::new(Seen::default());
        let mut desk = Desk::new(listener, stopped, seen.clone())?;
        // A signal for the process must find a thread that can do something about it.
        let blocked = SignalsBlocked::new();
        let thread = std::thread::Builder::new()
            .name("link-witness".to_owned())
            .spawn(move || desk.serve())
            .during("clone", "")?;
        drop(blocked);
        Ok(Self {
            seen,
            stop,
            thread: Some(thread),
        })
    }

    pub(super) fn stop(mut self) -> Result<Links> {
        self.end()?;
        Ok(if self.seen.anything.load(Ordering::Acquire) {
            Links::Unknown
        } else {
            Links::AtMost(self.seen.links.load(Ordering::Acquire))
        })
    }

    fn end(&mut self) -> Result<()> {
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        rustix::io::write(&self.stop, &1_u64.to_ne_bytes()).during("write", "the link witness")?;
        let failed = |_| Error::system("seccomp", "the link witness", Errno::IO);
        thread.join().map_err(failed)?
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // Who wants to know asks `stop`.
        let _ = self.end();
    }
}

/// What the thread owns.
struct Desk {
    listener: OwnedFd,
    stop: OwnedFd,
    seen: Arc<Seen>,
    /// As large as this kernel's structures are; aligned as they want it.
    request: Vec<u64>,
    response: Vec<u64>,
}

impl Desk {
    fn new(listener: OwnedFd, stop: OwnedFd, seen: Arc<Seen>) -> Result<Self> {
        let mut sizes = libc::seccomp_notif_sizes {
            seccomp_notif: 0,
            seccomp_notif_resp: 0,
            seccomp_data: 0,
        };
        // SAFETY: the kernel writes one structure of this type.
        let returned = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_GET_NOTIF_SIZES,
                0,
                &raw mut sizes,
            )
        };
        last_errno(returned).during("seccomp", "the link witness")?;
        let words = |kernel: u16, ours: usize| vec![0; usize::from(kernel).max(ours).div_ceil(8)];
        // SAFETY: takes a number and changes how fast the answers travel; older kernels do not know it, which is no loss.
        let _ = unsafe {
            libc::ioctl(
                listener.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS,
                SYNC_WAKE_UP,
            )
        };
        Ok(Self {
            listener,
            stop,
            seen,
            request: words(sizes.seccomp_notif, size_of::<libc::seccomp_notif>()),
            response: words(
                sizes.seccomp_notif_resp,
                size_of::<libc::seccomp_notif_resp>(),
            ),
        })
    }

    /// Until it is told to stop, or nobody is left whom the filter binds.
    fn serve(&mut self) -> Result<()> {
        loop {
            let mut waiting = [
                PollFd::new(&self.listener, PollFlags::IN),
                PollFd::new(&self.stop, PollFlags::IN),
            ];
            match poll(&mut waiting, None) {
                Err(Errno::INTR) => continue,
                result => result.during("poll", "the link witness")?,
            };
            let [asked, stopped] = waiting.map(|waiting| waiting.revents());
            if asked.contains(PollFlags::IN) {
                self.answer()?;
            } else if !(asked | stopped).is_empty() {
                return Ok(());
            }
        }
    }

    /// One call. Who asked may be dead or interrupted at any moment: then there is nobody to answer (`ENOENT`), and
    /// nothing was made.
    fn answer(&mut self) -> Result<()> {
        self.request.fill(0);
        let Some(request) = self.receive()? else {
            return Ok(());
        };
        // The arguments are in there too. They prove nothing.
        match classify(request.data.arch, request.data.nr as u32) {
            Call::Link => {
                self.seen.links.fetch_add(1, Ordering::AcqRel);
            }
            Call::Anything => self.seen.anything.store(true, Ordering::Release),
        }
        self.send(request.id)
    }

    fn receive(&mut self) -> Result<Option<libc::seccomp_notif>> {
        let place = self.request.as_mut_ptr();
        // SAFETY: the place is at least as large as the kernel's structure, and zero, as it demands.
        let returned = unsafe {
            libc::ioctl(
                self.listener.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_RECV,
                place,
            )
        };
        match last_errno(returned.into()) {
            Ok(()) => {}
            Err(Errno::NOENT | Errno::INTR) => return Ok(None),
            failed => failed.during("ioctl(SECCOMP_IOCTL_NOTIF_RECV)", "the link witness")?,
        }
        // SAFETY: the place is as large as this structure or larger, aligned, and every bit pattern is valid.
        Ok(Some(unsafe { place.cast::<libc::seccomp_notif>().read() }))
    }

    fn send(&mut self, id: u64) -> Result<()> {
        self.response.fill(0);
        let place = self.response.as_mut_ptr();
        let response = libc::seccomp_notif_resp {
            id,
            val: 0,
            error: 0,
            flags: libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
        };
        // SAFETY: the place is as large as this structure or larger, and aligned.
        unsafe { place.cast::<libc::seccomp_notif_resp>().write(response) };
        // SAFETY: the place is at least as large as the kernel's structure.
        let returned = unsafe {
            libc::ioctl(
                self.listener.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_SEND,
                place,
            )
        };
        match last_errno(returned.into()) {
            Err(Errno::NOENT) => Ok(()),
            result => result.during("ioctl(SECCOMP_IOCTL_NOTIF_SEND)", "the link witness"),
        }
    }
}
