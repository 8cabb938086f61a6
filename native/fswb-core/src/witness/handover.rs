//! How the kernel's descriptor for the filter comes from the child to the parent: one message over a socket pair.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, IoSliceMut};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

use crate::error::{Context, Error, Result};

/// An errno, 0 if a descriptor comes with it.
const MESSAGE: usize = size_of::<i32>();

/// The parent's end and the child's.
pub(super) fn channel() -> Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).during("socketpair", "")
}

/// Sends what `install` said. In the child: no allocation. The descriptor stays open there until `execve` closes it.
pub(super) fn send(socket: BorrowedFd<'_>, installed: rustix::io::Result<OwnedFd>) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let (errno, listener) = match installed {
        Ok(listener) => (0, Some(listener)),
        Err(errno) => (errno.raw_os_error(), None),
    };
    let descriptors = listener.as_ref().map(|listener| [listener.as_fd()]);
    if let Some(descriptors) = &descriptors {
        // There is room for exactly one.
        ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    let bytes = errno.to_ne_bytes();
    // A message that does not arrive is a witness that does not exist, which `receive` says.
    let _ = sendmsg(
        socket,
        &[IoSlice::new(&bytes)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    );
}

/// The descriptor, or why there is none.
pub(super) fn receive(socket: &OwnedFd) -> Result<std::result::Result<OwnedFd, Errno>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; MESSAGE];
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let received = match recvmsg(socket, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
        Err(errno @ Errno::AGAIN) => return Ok(Err(errno)),
        result => result.during("recvmsg", "the link witness")?,
    };
    let listener = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    match (listener, received.bytes) {
        (Some(listener), MESSAGE) => Ok(Ok(listener)),
        (None, MESSAGE) => Ok(Err(Errno::from_raw_os_error(i32::from_ne_bytes(bytes)))),
        // The end without a message.
        (None, 0) => Ok(Err(Errno::PIPE)),
        _ => Err(Error::system("recvmsg", "the link witness", Errno::PROTO)),
    }
}
