//! The mount.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{self, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, open_tree,
};

use crate::clock::pass_a_tick;
use crate::copy::metadata::{Times, set_owner_and_mode};
use crate::error::{Context, Error, Result};
use crate::path::RelPath;
use crate::root::{Root, c_string, stat_bare};
use crate::xattrs::read_xattrs;

/// Options, each needed:
///
/// - `index`: a hard link stays one when its inode is copied up; without, the other names keep the old content.
/// - `redirect_dir`: a directory of the lower layer can be renamed; without, `rename` is `EXDEV` and programs copy.
/// - `metacopy=off`: what is in the upper directory is whole; a trusted file there names no lower data.
/// - `nfs_export=off`: it would copy more into the index, and nothing here opens by handle.
/// - `xino=on`: inode numbers tell the inode also where the layers are on several file systems (here they are not).
/// - `userxattr` is left out: only root can write `trusted.overlay.*`, so a RUN cannot forge a whiteout.
const OPTIONS: [(&str, &str); 5] = [
    ("index", "on"),
    ("redirect_dir", "on"),
    ("metacopy", "off"),
    ("nfs_export", "off"),
    ("xino", "on"),
];

/// What [`Root`] knows of an overlay that it is the merged view of.
#[derive(Debug)]
pub struct Layers {
    /// The mount: dissolved when this is closed.
    _mount: OwnedFd,
    upper: OwnedFd,
    /// Where overlayfs keeps the inodes that it copied up and that have several names in the lower layer.
    index: OwnedFd,
    lower: OwnedFd,
    /// Device of the lower layer: what the baseline recorded before the overlay was mounted has this one.
    lower_device: u64,
}

impl Layers {
    /// The upper directory.
    pub fn upper(&self) -> BorrowedFd<'_> {
        self.upper.as_fd()
    }

    /// The directory of the index.
    pub fn index(&self) -> BorrowedFd<'_> {
        self.index.as_fd()
    }

    /// The root of the lower layer.
    pub fn lower(&self) -> BorrowedFd<'_> {
        self.lower.as_fd()
    }

    /// Device of the file system that both layers are on (`makedev`).
    pub fn lower_device(&self) -> u64 {
        self.lower_device
    }
}

/// Mounts an overlay over `lower` and returns the root of the merged view.
///
/// `directory` is empty, on the file system of `lower` and outside of it; the upper directory and overlayfs' own work
/// directory are made in it. From now on nobody may write to `lower`.
///
/// Not mounted anywhere: the kernel dissolves it with the last descriptor, and no process of the host sees it. To run a
/// command in it a namespace must be able to clone a detached mount: Linux 6.15, probed here (`open_tree`, `EINVAL`).
pub fn mount(lower: &Root, directory: &[u8]) -> Result<Root> {
    let at = Root::open(directory)?;
    let lower_device = device(lower)?;
    if device(&at)? != lower_device {
        return Err(Error::system("mount", directory, Errno::XDEV));
    }
    let upper = make(&at, "upper")?;
    let work = make(&at, "work")?;
    take_over(lower, &upper)?;
    let mount = create(lower.fd(), &upper, &work, directory)?;
    clone_once(&mount, directory)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // The kernel makes it when it mounts; there is none if it fell back to `index=off`.
    let index = fs::openat(&work, "index", flags, Mode::empty()).during("openat", "work/index")?;
    let below = fs::openat(lower.fd(), ".", flags, Mode::empty()).during("openat", lower.path())?;
    let root = fs::openat(&mount, ".", flags, Mode::empty()).during("openat", directory)?;
    // A copied-up file is another inode under the number of the lower one. No ctime that it gets from now on is one that
    // the lower layer has.
    pass_a_tick(&at)?;
    let layers = Layers {
        _mount: mount,
        upper,
        index,
        lower: below,
        lower_device,
    };
    Ok(Root::merged(root, layers))
}

fn device(root: &Root) -> Result<u64> {
    let stat = fs::fstat(root.fd()).during("fstat", root.path())?;
    Ok(stat.st_dev)
}

fn make(at: &Root, name: &str) -> Result<OwnedFd> {
    fs::mkdirat(at.fd(), name, Mode::RWXU).during("mkdirat", name)?;
    at.open_directory(&RelPath::new(name)?)
}

/// The root of the merged view is the upper directory: it gets the metadata of the lower root.
fn take_over(lower: &Root, upper: &OwnedFd) -> Result<()> {
    let path = RelPath::ROOT;
    let entry = stat_bare(lower.fd(), b"", &path)?;
    let entry = entry.ok_or_else(|| Error::system("statx", lower.path(), Errno::NOENT))?;
    set_owner_and_mode(upper.as_fd(), (entry.uid, entry.gid), entry.mode, &path)?;
    for (name, value) in read_xattrs(lower.fd(), b"", &path)? {
        let flags = fs::XattrFlags::empty();
        let name = c_string(&name)?;
        fs::fsetxattr(upper, name.as_c_str(), &value, flags).during("fsetxattr", &path)?;
    }
    Times::of(lower.fd(), &path)?.set(upper.as_fd(), &path)
}

fn create(
    lower: BorrowedFd<'_>,
    upper: &OwnedFd,
    work: &OwnedFd,
    directory: &[u8],
) -> Result<OwnedFd> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).during("fsopen", directory)?;
    let set = |key: &str, value: &str| fsconfig_set_string(context.as_fd(), key, value);
    // By descriptor: the paths need no escaping, and nobody can swap them.
    let by_fd = |fd: BorrowedFd<'_>| format!("/proc/self/fd/{}", fd.as_raw_fd());
    let configured = set("source", "fswatch-builder")
        .and_then(|()| set("lowerdir", &by_fd(lower)))
        .and_then(|()| set("upperdir", &by_fd(upper.as_fd())))
        .and_then(|()| set("workdir", &by_fd(work.as_fd())))
        .and_then(|()| OPTIONS.iter().try_for_each(|(key, value)| set(key, value)))
        // The tree does not outlive the build: copying up need not wait for the disk.
        .and_then(|()| fsconfig_set_flag(context.as_fd(), "volatile"))
        .and_then(|()| fsconfig_create(context.as_fd()));
    configured.map_err(|errno| explained(&context, errno, directory))?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes).during("fsmount", directory)
}

/// What the kernel logs to the context says more than the errno: "upper fs does not support RENAME_WHITEOUT".
fn explained(context: &OwnedFd, errno: Errno, directory: &[u8]) -> Error {
    let mut lines = Vec::new();
    let mut buffer = [0_u8; 1024];
    // ENODATA: no more messages. Whatever else may come, the first error is the one to tell.
    while let Ok(length @ 1..) = rustix::io::read(context, &mut buffer) {
        let line = String::from_utf8_lossy(&buffer[..length]);
        lines.push(line.trim().to_owned());
    }
    if lines.is_empty() {
        return Error::system("mount", directory, errno);
    }
    let cause = std::io::Error::from(errno);
    Error::refused(directory, format!("{}: {cause}", lines.join("; ")))
}

/// As the sandbox will do for each RUN.
fn clone_once(mount: &OwnedFd, directory: &[u8]) -> Result<()> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let inside = fs::openat(mount, ".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let inside = inside.during("openat", directory)?;
    match open_tree(&inside, ".", flags) {
        Ok(_) => Ok(()),
        Err(Errno::INVAL) => Err(Error::refused(
            directory,
            "this kernel cannot clone a mount that is mounted nowhere (Linux 6.15 can): open_tree: EINVAL",
        )),
        Err(errno) => Err(Error::system("open_tree", directory, errno)),
    }
}
