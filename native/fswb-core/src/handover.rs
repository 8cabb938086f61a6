//! How a descriptor that only a child can get comes to its parent: one message over a socket pair. It waits there, also
//! when the child is dead.

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
pub(crate) fn channel() -> Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).during("socketpair", "")
}

/// Sends what the child got. In the child: no allocation. The descriptor is closed there.
pub(crate) fn send(socket: BorrowedFd<'_>, got: rustix::io::Result<OwnedFd>) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let (errno, descriptor) = match got {
        Ok(descriptor) => (0, Some(descriptor)),
        Err(errno) => (errno.raw_os_error(), None),
    };
    let descriptors = descriptor.as_ref().map(|descriptor| [descriptor.as_fd()]);
    if let Some(descriptors) = &descriptors {
        // There is room for exactly one.
        ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    let bytes = errno.to_ne_bytes();
    // A message that does not arrive is a descriptor that does not exist, which `receive` says.
    let _ = sendmsg(
        socket,
        &[IoSlice::new(&bytes)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    );
}

/// The descriptor, or why there is none.
pub(crate) fn receive(socket: &OwnedFd) -> Result<std::result::Result<OwnedFd, Errno>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; MESSAGE];
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let received = match recvmsg(socket, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
        Err(errno @ Errno::AGAIN) => return Ok(Err(errno)),
        result => result.during("recvmsg", "a descriptor of the child")?,
    };
    let descriptor = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    match (descriptor, received.bytes) {
        (Some(descriptor), MESSAGE) => Ok(Ok(descriptor)),
        (None, MESSAGE) => Ok(Err(Errno::from_raw_os_error(i32::from_ne_bytes(bytes)))),
        // The end without a message.
        (None, 0) => Ok(Err(Errno::PIPE)),
        _ => Err(Error::system(
            "recvmsg",
            "a descriptor of the child",
            Errno::PROTO,
        )),
    }
}
