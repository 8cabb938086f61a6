//! What a RUN gets besides its root file system: values, as the caller asks for them.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{self, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_string,
    fsmount, fsopen, open_tree,
};

use super::identity::last_errno;
use crate::entry::Kind;
use crate::error::{Context, Error, Result};
use crate::path::RelPath;
use crate::root::Root;

/// Something that is mounted for one run.
#[derive(Debug, Clone)]
pub struct Mount {
    /// Where, as an absolute path in the root file system. Links on the way are followed, and clamped.
    pub target: Vec<u8>,
    /// What.
    pub source: Source,
    /// Left out where it cannot be: in the sandbox's own places, and in a read-only mount that lacks the place for it.
    pub optional: bool,
}

/// What is mounted.
#[derive(Clone)]
pub enum Source {
    /// A read-only file that exists in memory only.
    File {
        /// Its bytes.
        content: Vec<u8>,
        /// Its permissions.
        mode: u32,
        /// Its owner: user and group ID.
        owner: (u32, u32),
    },
    /// A directory, file or socket of the host, with what is in it but nothing that is mounted there.
    Tree {
        /// Opened with `O_PATH`.
        at: Arc<OwnedFd>,
        /// That it is below: an overlay of ours is dissolved with it.
        root: Arc<Root>,
        /// Whether the run may write to it.
        writable: bool,
    },
    /// An empty directory in memory.
    Tmpfs {
        /// The most it may hold, in bytes; the kernel's half of the memory if it is not said.
        size: Option<u64>,
        /// Whether the run may write to it.
        writable: bool,
    },
}

impl fmt::Debug for Source {
    /// Without content: it may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { mode, owner, .. } => write!(f, "File({mode:o}, {owner:?})"),
            Self::Tree { writable, .. } => write!(f, "Tree(writable: {writable})"),
            Self::Tmpfs { size, writable } => write!(f, "Tmpfs({size:?}, {writable})"),
        }
    }
}

impl Source {
    /// The entry at an exact path below `root`: no link is followed.
    pub fn tree(root: &Arc<Root>, path: &RelPath, writable: bool) -> Result<Self> {
        let at = root.open_exact(
            path,
            OFlags::PATH | OFlags::NOFOLLOW,
            rustix::fs::Mode::empty(),
        )?;
        Ok(Self::Tree {
            at: Arc::new(at),
            root: root.clone(),
            writable,
        })
    }
}

/// The network that a run has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// That of the host.
    #[default]
    Host,
    /// A loopback device of its own, and nothing else.
    Loopback,
}

/// What a run is kept from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Security {
    /// Docker's capabilities, no devices but the harmless ones, /proc and /sys partly read-only or hidden.
    #[default]
    Sandbox,
    /// All capabilities of the builder, every device, /proc and /sys as they are.
    Insecure,
}

/// A limit of setrlimit(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// `RLIMIT_...`.
    pub resource: u32,
    /// What is enforced.
    pub soft: u64,
    /// How far a process without privileges may raise it.
    pub hard: u64,
}

/// A mount that is mounted nowhere yet.
pub(super) struct Detached {
    pub(super) fd: OwnedFd,
    /// To look and make mount points in; `None` for what is no directory.
    pub(super) root: Option<Root>,
}

impl Detached {
    /// A clone of the one mount that `at` is on, beginning there.
    ///
    /// It inherits the flags of the store's file system, which mean nothing to a RUN: a RUN executes files and honours
    /// set-user-ID bits. Devices open nothing: see [`super::mounts`].
    pub(super) fn tree(at: BorrowedFd<'_>, target: &RelPath, writable: bool) -> Result<Self> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_EMPTY_PATH;
        let fd = open_tree(at, c"", flags).during("open_tree", target)?;
        let read_only = MountAttrFlags::MOUNT_ATTR_RDONLY;
        let nodev = MountAttrFlags::MOUNT_ATTR_NODEV;
        let host = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        if writable {
            set_attributes(&fd, nodev, host | read_only, target)?;
        } else {
            set_attributes(&fd, nodev | read_only, host, target)?;
        }
        let stat = fs::fstat(&fd).during("fstat", target)?;
        let is_directory = Kind::from_mode(stat.st_mode) == Some(Kind::Directory);
        let root = is_directory
            .then(|| Root::of_mount(fd.as_fd()))
            .transpose()?;
        Ok(Self { fd, root })
    }

    pub(super) fn tmpfs(size: Option<u64>, target: &RelPath, writable: bool) -> Result<Self> {
        let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).during("fsopen", target)?;
        let set = |key: &str, value: &str| {
            fsconfig_set_string(context.as_fd(), key, value).during("fsconfig", target)
        };
        set("source", "tmpfs")?;
        set("mode", "1777")?;
        if let Some(size) = size {
            set("size", &size.to_string())?;
        }
        fsconfig_create(context.as_fd()).during("fsconfig", target)?;
        let mut attributes = MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID;
        if !writable {
            attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
        }
        let flags = FsMountFlags::FSMOUNT_CLOEXEC;
        let fd = fsmount(context.as_fd(), flags, attributes).during("fsmount", target)?;
        let root = Some(Root::of_mount(fd.as_fd())?);
        Ok(Self { fd, root })
    }
}

/// `struct mount_attr` of linux/mount.h.
#[repr(C)]
struct Attributes {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

/// mount_setattr(2), Linux 5.12.
pub(super) fn set_attributes(
    mount: &OwnedFd,
    set: MountAttrFlags,
    clear: MountAttrFlags,
    target: &RelPath,
) -> Result<()> {
    let attributes = Attributes {
        set: set.bits().into(),
        clear: clear.bits().into(),
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: the structure outlives the call, its size is given, and the path is NUL-terminated.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<Attributes>(),
        )
    };
    last_errno(result).map_err(|errno| Error::system("mount_setattr", target, errno))
}
