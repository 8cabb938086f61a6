//! The system calls: a group, one mark on a whole file system, and its queue.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Context, Error, Result};
use crate::fanotify::event::METADATA;
use crate::handle::{Handle, Inode, open_file};
use crate::root::{Root, c_string};

/// Every event that can be the only trace of a change.
///
/// `MODIFY` and `CLOSE_WRITE` both: truncate(2) raises only the first, a store into a mapping only the second.
/// `DELETE_SELF` is left out: who loses its last name is reported by that name. tests/kernel/test_fanotify_inodes.py pins
/// all three.
const MASK: u64 = libc::FAN_CREATE
    | libc::FAN_DELETE
    | libc::FAN_RENAME
    | libc::FAN_ATTRIB
    | libc::FAN_MODIFY
    | libc::FAN_CLOSE_WRITE
    | libc::FAN_ONDIR;

/// How long the queue may get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// As long as there is memory. Needs CAP_SYS_ADMIN in the initial user namespace.
    Unlimited,
    /// `fs.fanotify.max_queued_events`; more is an overflow.
    Limited,
}

/// A fanotify group.
#[derive(Debug)]
pub(super) struct Group {
    /// There until the group is dropped.
    fd: Option<OwnedFd>,
    /// A directory of the marked file system to open handles by; `None` if it cannot be read.
    mount: Option<OwnedFd>,
    pub(super) queue: Queue,
}

impl Drop for Group {
    /// Closing waits until nobody in the kernel looks at the mark any more, 5 to 10 ms, which is more than all the rest of
    /// a session costs: it is left to a thread of its own. (If there is none to be had, the descriptor is closed here.)
    fn drop(&mut self) {
        let fd = self.fd.take();
        let closer = std::thread::Builder::new().name("fanotify-closer".to_owned());
        drop(closer.spawn(move || drop(fd)));
    }
}

impl Group {
    /// With an unlimited queue if that is wanted and allowed.
    pub(super) fn new(wanted: Queue) -> Result<Self> {
        let made = match (init(wanted), wanted) {
            (Err(Errno::PERM), Queue::Unlimited) => init(Queue::Limited),
            (made, _) => made,
        };
        made.during("fanotify_init", b"")
    }

    /// Marks the file system that `root` is on, whoever uses it and wherever it is mounted.
    pub(super) fn mark(&mut self, root: &Root) -> Result<()> {
        let flags = libc::FAN_MARK_ADD | libc::FAN_MARK_FILESYSTEM;
        // A name, because the root is open with O_PATH, and such a descriptor alone is EBADF.
        let marked = self.change(flags, MASK, Some(root.fd()), Some(c"."));
        marked.during("fanotify_mark", root.path())?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        self.mount = rustix::fs::openat(root.fd(), ".", flags, Mode::empty()).ok();
        Ok(())
    }

    /// Tells of the programs that are started from the file system that `directory` is on.
    pub(super) fn mark_executions(&self, directory: BorrowedFd<'_>, path: &[u8]) -> Result<()> {
        let flags = libc::FAN_MARK_ADD | libc::FAN_MARK_FILESYSTEM;
        let marked = self.change(flags, libc::FAN_OPEN_EXEC, Some(directory), Some(c"."));
        marked.during("fanotify_mark", path)
    }

    /// Tells of no modification of any file, until [`Self::tell_of_modifications`].
    ///
    /// A mark on the file system that tells of them has the kernel look up the directory and copy the name at every write
    /// before it looks whether the file is muted. Without, a million writes of a byte take 1.0 of the time of unwatched ones.
    pub(super) fn tell_of_no_modification(&self) -> Result<()> {
        self.remark(libc::FAN_MARK_REMOVE, libc::FAN_MODIFY)
    }

    /// Tells of modifications again: of all that are made after this call.
    pub(super) fn tell_of_modifications(&self) -> Result<()> {
        self.remark(libc::FAN_MARK_ADD, libc::FAN_MODIFY)
    }

    /// Tells of no change any more, until [`Self::tell_of_changes`].
    pub(super) fn tell_of_no_change(&self) -> Result<()> {
        self.remark(libc::FAN_MARK_REMOVE, MASK)
    }

    /// Tells of changes again: of all that are made after this call.
    pub(super) fn tell_of_changes(&self) -> Result<()> {
        self.remark(libc::FAN_MARK_ADD, MASK)
    }

    fn remark(&self, how: u32, mask: u64) -> Result<()> {
        let flags = how | libc::FAN_MARK_FILESYSTEM;
        let changed = self.change(flags, mask, Some(self.mount()?), Some(c"."));
        changed.during("fanotify_mark", "")
    }

    /// Opens a file to mute it. `handle` is what an event said, `told` the inode it stands for.
    pub(super) fn open(&self, handle: Handle<'_>, told: Inode) -> Result<OwnedFd> {
        open_file(self.mount()?, handle, told)
    }

    /// Whether an open file is below the root, or was before it was deleted. Not, where nobody can say.
    pub(super) fn has(&self, file: &OwnedFd) -> bool {
        let path = |fd: BorrowedFd<'_>| std::fs::read_link(descriptor_path(fd)).ok();
        let root = self.mount().ok().and_then(path);
        path(file.as_fd())
            .zip(root)
            .is_some_and(|(file, root)| file.starts_with(root))
    }

    /// No longer tells of modifications of a file.
    ///
    /// The kernel checks such a mark before it makes an event: a million writes of a byte take 1.4 of the time of unwatched
    /// ones instead of 2.6. The mark keeps the inode in memory, not on disk: it ends when the last name does.
    pub(super) fn mute(&self, file: &OwnedFd) -> Result<()> {
        self.change_ignored(libc::FAN_MARK_ADD, file)
    }

    /// Tells of a muted file again.
    pub(super) fn unmute(&self, file: &OwnedFd) -> Result<()> {
        self.change_ignored(libc::FAN_MARK_REMOVE, file)
    }

    /// Tells of all muted files again.
    pub(super) fn unmute_all(&self) -> Result<()> {
        // The mark on the file system is of another kind than those flushed.
        let changed = self.change(libc::FAN_MARK_FLUSH, 0, None, None);
        changed.during("fanotify_mark", "")
    }

    fn change_ignored(&self, how: u32, file: &OwnedFd) -> Result<()> {
        let flags = how | libc::FAN_MARK_IGNORED_MASK | libc::FAN_MARK_IGNORED_SURV_MODIFY;
        // A magic link: it leads to the open file, whatever was renamed meanwhile.
        let name = c_string(descriptor_path(file.as_fd()).as_bytes())?;
        let changed = self.change(flags, libc::FAN_MODIFY, None, Some(&name));
        changed.during("fanotify_mark", "")
    }

    fn change(
        &self,
        flags: u32,
        mask: u64,
        directory: Option<BorrowedFd<'_>>,
        name: Option<&CStr>,
    ) -> std::io::Result<()> {
        let group = self.fd.as_ref().ok_or(std::io::ErrorKind::NotConnected)?;
        // SAFETY: both descriptors are borrowed for the call, and the name is a C string or absent.
        let result = unsafe {
            libc::fanotify_mark(
                group.as_raw_fd(),
                flags,
                mask,
                directory.map_or(libc::AT_FDCWD, |directory| directory.as_raw_fd()),
                name.map_or(std::ptr::null(), CStr::as_ptr),
            )
        };
        match result {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    }

    fn mount(&self) -> Result<BorrowedFd<'_>> {
        let mount = self.mount.as_ref().map(AsFd::as_fd);
        mount.ok_or_else(|| Error::refused("", "the root cannot be read"))
    }

    /// How many events are queued, or more.
    ///
    /// `FIONREAD` counts the fixed part of each event (Linux 6.18.44), or all of it (6.12.117): never less
    /// (tests/kernel pins that). Of the latter this is too many, and reading ends when the queue is empty.
    pub(super) fn queued(&self) -> Result<u64> {
        let bytes = rustix::io::ioctl_fionread(self.fd()?).during("ioctl", b"")?;
        Ok(bytes / METADATA as u64)
    }

    fn fd(&self) -> Result<BorrowedFd<'_>> {
        let fd = self.fd.as_ref().map(AsFd::as_fd);
        fd.ok_or_else(|| Error::refused("", "the group is closed"))
    }

    /// Whole events; 0 if there are none.
    pub(super) fn read(&self, buffer: &mut [u8]) -> Result<usize> {
        let fd = self.fd()?;
        loop {
            match rustix::io::read(fd, &mut *buffer) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(0),
                result => return result.during("read", b""),
            }
        }
    }
}

fn descriptor_path(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

fn init(queue: Queue) -> rustix::io::Result<Group> {
    let mut flags = libc::FAN_CLASS_NOTIF
        | libc::FAN_CLOEXEC
        | libc::FAN_NONBLOCK
        | libc::FAN_REPORT_DFID_NAME_TARGET;
    if queue == Queue::Unlimited {
        flags |= libc::FAN_UNLIMITED_QUEUE;
    }
    // SAFETY: two numbers.
    let fd = unsafe { libc::fanotify_init(flags, libc::O_RDONLY as libc::c_uint) };
    if fd < 0 {
        let error = std::io::Error::last_os_error().raw_os_error();
        return Err(Errno::from_raw_os_error(error.unwrap_or(libc::EIO)));
    }
    // SAFETY: the call has just returned this descriptor, which nobody else owns.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    Ok(Group {
        fd: Some(fd),
        mount: None,
        queue,
    })
}
