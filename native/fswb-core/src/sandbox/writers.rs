//! Whether the kernel is done with what a command wrote, when every process of it is dead.
//!
//! An open file may outlive them: it is registered with an io_uring, which is torn down by a kernel thread, or lies in a
//! cycle of unix sockets, which another one collects, or its direct I/O is not finished, or somebody who reads
//! `/proc/PID` of the dying process holds its mappings, or it was sent over a socket to a process outside. Until the last
//! of its users lets go, it can be written to, and what was stored into a mapping of it has raised no event.
//!
//! The mount that is the command's root counts the files that are open for writing through it. The kernel makes it
//! read-only if there are none, and else refuses with `EBUSY` (`mnt_hold_writers`); it takes a file off the count after its
//! event is queued (`__fput`). So once the mount *is* read-only, all is written and all is told. What was opened through
//! another mount is not counted: a command that makes a mount namespace of its own has others.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{self, CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use super::SignalsBlocked;
use super::mount::set_attributes;
use crate::error::{Context, Error, Result};
use crate::handover;
use crate::path::RelPath;

/// Those who may still write to the root file system of a command: known by its mount namespace, which stays as long as
/// this does.
#[derive(Debug)]
pub(super) struct Writers(OwnedFd);

impl Writers {
    /// What the child sent ([`send`]). To be called when it has executed something.
    pub(super) fn receive(socket: &OwnedFd) -> Result<Self> {
        let namespace = handover::receive(socket)?;
        namespace.map(Self).during("openat", "/proc/self/ns/mnt")
    }

    /// Whether there are none. To be asked when every process of the command is dead.
    pub(super) fn are_gone(&self) -> Result<bool> {
        std::thread::scope(|scope| {
            // A thread of its own enters the namespace, and ends there.
            let blocked = SignalsBlocked::new();
            let thread = std::thread::Builder::new().name("last-writers".to_owned());
            let thread = thread.spawn_scoped(scope, || self.are_gone_there());
            drop(blocked);
            let told = thread.during("clone", "")?.join();
            told.unwrap_or_else(|_| Err(Error::system("clone", "", Errno::IO)))
        })
    }

    fn are_gone_there(&self) -> Result<bool> {
        // SAFETY: the root and working directory become this thread's own, and it has neither of its own in use.
        unsafe { unshare_unsafe(UnshareFlags::FS) }.during("unshare", "")?;
        move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Mount))
            .during("setns", "")?;
        let root = fs::openat(CWD, "/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let root = root.during("openat", "/")?;
        let done = set_attributes(
            &root,
            MountAttrFlags::MOUNT_ATTR_RDONLY,
            MountAttrFlags::empty(),
            &RelPath::ROOT,
        );
        match done {
            Err(Error::System { errno, .. }) if errno == libc::EBUSY => {
                // Cycles of sockets are collected when one is closed anywhere, and not else (kernel, unix_release_sock).
                drop(handover::channel()?);
                Ok(false)
            }
            result => result.map(|()| true),
        }
    }
}

/// In the child, once it is in its own mount namespace: no allocation.
pub(super) fn send(socket: &OwnedFd) {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let namespace = fs::openat(CWD, c"/proc/self/ns/mnt", flags, Mode::empty());
    handover::send(socket.as_fd(), namespace);
}
