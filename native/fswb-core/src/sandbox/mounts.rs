//! What the command sees: its own root and nothing of the host. Runs in the child: no allocation, no locks.
//!
//! There is no device cgroup here, so two mount flags take its place: the root and every writable mount are `nodev`,
//! and the few devices that a command may use are mounted one by one. A node that the command makes (Docker's default
//! set has `CAP_MKNOD`) opens nothing.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{self, CWD, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount_bind,
    mount_bind_recursive, mount_change, mount_remount, move_mount, open_tree, unmount,
};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::mount::Security;
use super::placing::{MemoryFile, Placed, What};
use super::plan::{DEVICES, Device, Plan};
use super::report::{During, Failure, Operation, Step};

/// What Docker makes read-only below /proc.
const READ_ONLY: [&CStr; 5] = [
    c"/proc/bus",
    c"/proc/fs",
    c"/proc/irq",
    c"/proc/sys",
    c"/proc/sysrq-trigger",
];

/// What Docker hides: it tells about the host or steers it.
const MASKED: [&CStr; 11] = [
    c"/proc/acpi",
    c"/proc/asound",
    c"/proc/kcore",
    c"/proc/keys",
    c"/proc/latency_stats",
    c"/proc/timer_list",
    c"/proc/timer_stats",
    c"/proc/sched_debug",
    c"/proc/scsi",
    c"/sys/firmware",
    c"/sys/devices/virtual/powercap",
];

const LINKS: [(&CStr, &CStr); 5] = [
    (c"/proc/self/fd", c"/dev/fd"),
    (c"/proc/self/fd/0", c"/dev/stdin"),
    (c"/proc/self/fd/1", c"/dev/stdout"),
    (c"/proc/self/fd/2", c"/dev/stderr"),
    (c"pts/ptmx", c"/dev/ptmx"),
];

const CLONE: OpenTreeFlags = OpenTreeFlags::OPEN_TREE_CLONE.union(OpenTreeFlags::OPEN_TREE_CLOEXEC);
const NOSUID_NOEXEC: MountAttrFlags =
    MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NOEXEC);
const INERT: MountAttrFlags = NOSUID_NOEXEC.union(MountAttrFlags::MOUNT_ATTR_NODEV);
const READ_ONLY_BIND: MountFlags = MountFlags::BIND
    .union(MountFlags::RDONLY)
    .union(MountFlags::NOSUID)
    .union(MountFlags::NOEXEC);

/// Leaves the host's mounts for the root file system of the plan, with everything mounted in it.
pub(super) fn enter<'a>(plan: &'a Plan<'_>) -> Step<'a> {
    // A descriptor keeps pointing at the mount of the old namespace, which the new one cannot work with. Only root and
    // working directory are carried over (kernel, copy_mnt_ns), so that is where the root goes first.
    fs_chdir(plan.root.as_fd(), c"/")?;
    // SAFETY: the child has one thread and its own descriptor table, and a mount namespace touches no memory.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.of(Operation::Unshare, c"")?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change(c"/", private).of(Operation::Mount, c"/")?;

    // Not recursive: whatever the host has mounted below its directory is no part of the image.
    let root = open_tree(CWD, c".", CLONE).of(Operation::OpenTree, c"/")?;
    // Over the host's root, not over the directory it comes from: that may be the root of a mount that is mounted nowhere
    // (an overlay), where nothing can be mounted for this namespace.
    place(&root, c"/")?;
    fs_chdir(root.as_fd(), c"/")?;

    // The host is still in view: what comes from it is taken now. In a user namespace a new /proc may be mounted only
    // where one is in view already, all of it (kernel, mount_too_revealing).
    let proc = filesystem(c"proc", &[], INERT)?;
    let sys = sysfs()?;
    let devices = stage(plan, &root)?;
    // pivot_root(2), NOTES: with "." twice the old root ends up on top of the new one, and is taken off at once.
    // No path that an image controls is followed before it is gone.
    rustix::process::pivot_root(c".", c".").of(Operation::PivotRoot, c"/")?;
    unmount(c".", UnmountFlags::DETACH).of(Operation::Umount, c"/")?;
    rustix::process::chdir(c"/").of(Operation::Chdir, c"/")?;

    attach(&proc, &root, c"proc")?;
    attach(&sys, &root, c"sys")?;
    dev(plan, &root, &devices)?;
    for placed in &plan.mounts {
        put(placed, &root)?;
    }
    // Clears what the store's file system may have: a RUN executes files and honours setuid bits.
    let flags = match plan.security {
        Security::Sandbox => {
            let flags = READ_ONLY_BIND | MountFlags::NODEV;
            mount_remount(c"/sys", flags, c"").of(Operation::Mount, c"/sys")?;
            restrict()?;
            MountFlags::BIND | MountFlags::NODEV
        }
        Security::Insecure => {
            let inert = MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NODEV;
            mount_remount(c"/sys", MountFlags::BIND | inert, c"").of(Operation::Mount, c"/sys")?;
            MountFlags::BIND
        }
    };
    mount_remount(c"/", flags, c"").of(Operation::Mount, c"/")
}

/// Mounts what the plan asks for. Its place in the root file system was made before the clone; one on /dev, which came
/// into being just now, is made here.
fn put<'a>(placed: &'a Placed, root: &OwnedFd) -> Step<'a> {
    for stub in &placed.device_stubs {
        let path = stub.path.as_c_str();
        if stub.is_directory {
            let mode = Mode::from_raw_mode(0o755);
            fs::mkdirat(root, path, mode).of(Operation::Mkdirat, path)?;
        } else {
            let (kind, mode) = (fs::FileType::RegularFile, Mode::from_raw_mode(0o644));
            fs::mknodat(root, path, kind, mode, 0).of(Operation::Mknodat, path)?;
        }
    }
    match &placed.what {
        What::Detached(mount) => attach(mount, root, &placed.target),
        What::File(file) => match file.mount.take() {
            Some(mount) => attach(&mount, root, &placed.target),
            None => Ok(()),
        },
    }
}

fn fs_chdir<'a>(directory: impl AsFd, path: &'a CStr) -> Step<'a> {
    rustix::process::fchdir(directory).of(Operation::Fchdir, path)
}

/// A new instance of a file system, mounted nowhere yet.
pub(super) fn filesystem<'a>(
    kind: &'a CStr,
    options: &[(&CStr, &CStr)],
    attributes: MountAttrFlags,
) -> Step<'a, OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).of(Operation::Fsopen, kind)?;
    for (key, value) in [(c"source", kind)].iter().chain(options) {
        fsconfig_set_string(context.as_fd(), *key, *value).of(Operation::Fsconfig, kind)?;
    }
    fsconfig_create(context.as_fd()).of(Operation::Fsconfig, kind)?;
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    fsmount(context.as_fd(), flags, attributes).of(Operation::Fsmount, kind)
}

/// Mounts at an exact path in the root: a link on the way is an error.
fn attach<'a>(mount: &OwnedFd, root: &OwnedFd, path: &'a CStr) -> Step<'a> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let target = fs::openat2(root, path, flags, Mode::empty(), resolve);
    let target = target.of(Operation::Openat2, path)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, c"", &target, c"", flags).of(Operation::MoveMount, path)
}

/// Mounts at a path that is ours all the way.
fn place<'a>(mount: &OwnedFd, path: &'a CStr) -> Step<'a> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(mount, c"", CWD, path, flags).of(Operation::MoveMount, path)
}

/// /sys shows the network namespace it is mounted from, and only the owner of that may mount it: else the host's.
fn sysfs<'a>() -> Step<'a, OwnedFd> {
    match filesystem(c"sysfs", &[], INERT | MountAttrFlags::MOUNT_ATTR_RDONLY) {
        Err(Failure {
            errno: Errno::PERM, ..
        }) => open_tree(CWD, c"/sys", CLONE).of(Operation::OpenTree, c"/sys"),
        result => result,
    }
}

/// A device, mounted nowhere yet.
struct Node {
    mount: OwnedFd,
    /// It is the host's own inode.
    is_host: bool,
}

type Nodes = [Option<Node>; DEVICES.len()];

/// Makes devices and files on a tmpfs that the command never sees; each becomes a mount of its own.
///
/// The tmpfs has to be mounted to be cloned from (before Linux 6.15), so it is, over `dev`, for this moment.
fn stage<'a>(plan: &'a Plan<'_>, root: &OwnedFd) -> Step<'a, Nodes> {
    let stage = filesystem(c"tmpfs", &[(c"mode", c"755")], NOSUID_NOEXEC)?;
    attach(&stage, root, c"dev")?;
    let mut nodes = Nodes::default();
    for (device, slot) in DEVICES.iter().zip(&mut nodes) {
        *slot = Some(node(device, &stage)?);
    }
    for file in files(plan) {
        write(&stage, file)?;
    }
    let flags = READ_ONLY_BIND | MountFlags::NODEV;
    mount_remount(c"dev", flags, c"").of(Operation::Mount, c"dev")?;
    for file in files(plan) {
        let mount = open_tree(&stage, file.staged.as_c_str(), CLONE);
        let mount = mount.of(Operation::OpenTree, &file.staged)?;
        file.mount.set(Some(mount));
    }
    unmount(c"dev", UnmountFlags::DETACH).of(Operation::Umount, c"dev")?;
    Ok(nodes)
}

fn node<'a>(device: &'static Device, stage: &OwnedFd) -> Step<'a, Node> {
    let number = fs::makedev(device.major, device.minor);
    let mode = Mode::from_raw_mode(0o666);
    let (mount, is_host) = match fs::mknodat(stage, device.name, Device::TYPE, mode, number) {
        Ok(()) => (open_tree(stage, device.name, CLONE), false),
        // A user namespace makes no devices.
        Err(Errno::PERM) => (open_tree(CWD, device.path, CLONE), true),
        Err(errno) => return Err(errno).of(Operation::Mknodat, device.path),
    };
    let mount = mount.of(Operation::OpenTree, device.path)?;
    Ok(Node { mount, is_host })
}

fn files<'p>(plan: &'p Plan<'_>) -> impl Iterator<Item = &'p MemoryFile> {
    plan.mounts.iter().filter_map(|placed| match &placed.what {
        What::File(file) => Some(file),
        What::Detached(_) => None,
    })
}

fn write<'a>(directory: &OwnedFd, wanted: &'a MemoryFile) -> Step<'a> {
    let name = wanted.staged.as_c_str();
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = fs::openat(directory, name, flags, Mode::RUSR | Mode::WUSR);
    let file = file.of(Operation::Openat, name)?;
    let (uid, gid) = wanted.owner;
    let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    fs::fchown(&file, owner.0, owner.1).of(Operation::Fchown, name)?;
    let mode = Mode::from_raw_mode(wanted.mode);
    fs::fchmod(&file, mode).of(Operation::Fchmod, name)?;
    let mut rest = wanted.content.as_slice();
    while !rest.is_empty() {
        let written = rustix::io::write(&file, rest).of(Operation::Write, name)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    Ok(())
}

fn dev<'a>(plan: &'a Plan<'_>, root: &OwnedFd, nodes: &Nodes) -> Step<'a> {
    let options = [(c"mode", c"755"), (c"size", c"65536k")];
    let attributes = match plan.security {
        Security::Sandbox => INERT,
        Security::Insecure => NOSUID_NOEXEC,
    };
    attach(&filesystem(c"tmpfs", &options, attributes)?, root, c"dev")?;
    for (device, node) in DEVICES.iter().zip(nodes) {
        let Some(node) = node else { continue };
        let kind = fs::FileType::RegularFile;
        let made = fs::mknodat(CWD, device.path, kind, Mode::empty(), 0);
        made.of(Operation::Mknodat, device.path)?;
        place(&node.mount, device.path)?;
        if node.is_host {
            // A chmod in here would be one on the host. Writing to a device is not writing to its file system.
            mount_remount(device.path, READ_ONLY_BIND, c"").of(Operation::Mount, device.path)?;
        }
    }
    for (target, link) in LINKS {
        fs::symlinkat(target, CWD, link).of(Operation::Symlinkat, link)?;
    }
    // 5 is the group `tty` in every distribution.
    let pts = [(c"mode", c"620"), (c"ptmxmode", c"666"), (c"gid", c"5")];
    mount_new(c"/dev/pts", filesystem(c"devpts", &pts, NOSUID_NOEXEC)?)?;
    let shm = [(c"mode", c"1777"), (c"size", plan.shm_size.as_c_str())];
    mount_new(c"/dev/shm", filesystem(c"tmpfs", &shm, INERT)?)?;
    match filesystem(c"mqueue", &[], INERT) {
        Ok(mqueue) => mount_new(c"/dev/mqueue", mqueue),
        // A kernel without POSIX message queues.
        Err(Failure {
            errno: Errno::NODEV,
            ..
        }) => Ok(()),
        Err(failure) => Err(failure),
    }
}

fn mount_new<'a>(path: &'a CStr, mount: OwnedFd) -> Step<'a> {
    fs::mkdirat(CWD, path, Mode::from_raw_mode(0o755)).of(Operation::Mkdirat, path)?;
    place(&mount, path)
}

/// Makes read-only and hides what Docker does. What this kernel does not have needs neither.
fn restrict<'a>() -> Step<'a> {
    for path in READ_ONLY {
        match mount_bind_recursive(path, path) {
            Err(Errno::NOENT) => continue,
            result => result.of(Operation::Mount, path)?,
        }
        let flags = READ_ONLY_BIND | MountFlags::NODEV;
        mount_remount(path, flags, c"").of(Operation::Mount, path)?;
    }
    for path in MASKED {
        let stat = match fs::stat(path) {
            Err(Errno::NOENT) => continue,
            result => result.of(Operation::Stat, path)?,
        };
        if fs::FileType::from_raw_mode(stat.st_mode) == fs::FileType::Directory {
            let attributes = INERT | MountAttrFlags::MOUNT_ATTR_RDONLY;
            place(
                &filesystem(c"tmpfs", &[(c"mode", c"755")], attributes)?,
                path,
            )?;
        } else {
            mount_bind(c"/dev/null", path).of(Operation::Mount, path)?;
        }
    }
    Ok(())
}
