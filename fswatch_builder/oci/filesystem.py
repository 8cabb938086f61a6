"""What a directory lies on, and what is mounted in it, as far as the store has to know (proc_pid_mountinfo(5))."""

import errno
import os
from collections.abc import Iterator
from typing import Final

from fswatch_builder.errors import StoreError
from fswatch_builder.mountinfo import MountLine, mount_lines

_TABLE: Final = "/proc/self/mountinfo"
_MNT_DETACH: Final = 2  # umount2(2)

#: One kernel alone writes to these, so memory mapped from them is the same for all who use it. A file system that is
#: not listed may be shared by several machines.
_LOCAL: Final = frozenset(
    (
        "bcachefs",
        "btrfs",
        "ext2",
        "ext3",
        "ext4",
        "f2fs",
        "jfs",
        "nilfs2",
        "overlay",
        "ramfs",
        "reiserfs",
        "tmpfs",
        "xfs",
        "zfs",
    )
)
_NFS: Final = ("nfs", "nfs4")
_EXPORT_AS_ROOT: Final = "have the file server export it to this machine with no_root_squash (exports(5)), or "


def is_local(directory: str, table: str = _TABLE) -> bool:
    """Whether this machine alone uses the file system; False where that cannot be told."""
    mount = _mount_of(directory, table)
    return mount is not None and mount.kind in _LOCAL


def loses_locks(directory: str, table: str = _TABLE) -> bool:
    """Whether a process that was cut off from the file server may find its locks gone: with the leases of NFS 4."""
    mount = _mount_of(directory, table)
    return mount is not None and mount.kind == "nfs4"


def kept_apart(directory: str, table: str = _TABLE) -> str | None:
    """The option of a mount of NFS for which machines that share it do not see each other's locks, or each other's
    files in time (nfs(5)); None if there is none.
    """
    mount = _mount_of(directory, table)
    if mount is None or mount.kind not in _NFS:
        return None
    for option in mount.super_options:
        name, _, value = option.partition(b"=")
        # nolock is told as a local_lock, too.
        if option in (b"nolock", b"nocto") or (name == b"local_lock" and value != b"none"):
            return option.decode()
    return None


def check_locks(directory: str) -> None:
    """Raises StoreError if a store there would be used by machines that see nothing of each other."""
    option = kept_apart(directory)
    if option is not None:
        raise StoreError(
            f"cannot use the store {directory}: it is on NFS mounted with {option}, so machines that share it do not "
            "see each other's locks or changes",
            hint="mount it without that option, best as NFS 4, or choose another place with --store",
        )


def export_hint(error: OSError, path: str) -> str:
    """How a hint begins where a file server refuses something to root: it takes root for somebody else. Else ""."""
    if error.errno not in (errno.EACCES, errno.EPERM) or os.geteuid() != 0:
        return ""
    mount = _mount_of(path, _TABLE)
    return _EXPORT_AS_ROOT if mount is not None and mount.kind in _NFS else ""


def check_owner(directory: str) -> None:
    """Raises StoreError where files that root makes belong to somebody else: then those of images could not get their
    owners. Raises OSError.
    """
    if os.geteuid() != 0 or is_local(directory):
        return
    owner = _fresh(directory).st_uid
    if owner != 0:
        raise StoreError(
            f"cannot use the store {directory}: files that root makes there belong to user {owner}, so those of "
            "images could not get their owners",
            hint=f"{_EXPORT_AS_ROOT}choose another place with --store",
        )


def clock(directory: str) -> float:
    """Now, by the clock that stamps files there, in seconds since the epoch: of NFS the server's. Raises OSError."""
    return _fresh(directory).st_mtime


def _fresh(directory: str) -> os.stat_result:
    """What is said of a file that is made there now."""
    path = os.path.join(directory, f".clock-{os.urandom(8).hex()}")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)
        os.unlink(path)


def ask(directory: str) -> None:
    """Has what is looked up in ``directory`` after this be what is there now. Raises OSError.

    An NFS client believes for up to a minute what it knows of a name: that it is not there, or which file it stands
    for. Opening the file does not help: NFS 4.1 opens by handle, a file that was replaced or moved since too. Whether
    the directory has changed is asked when the directory is opened (nfs(5), close-to-open); then nothing old is
    believed.
    """
    os.close(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))


def is_removed(name: str) -> bool:
    """Whether a file was removed while a process of an NFS client had it open. It goes when that process closes it, and
    cannot be removed before by the same client; if the client never comes back, it stays.
    """
    return name.startswith(".nfs")


def _mount_of(directory: str, table: str) -> MountLine | None:
    inside = _closed(os.fsencode(os.path.realpath(directory)))
    found, longest = None, b""
    for mount in _mounts(table):
        point = _closed(mount.point)
        if inside.startswith(point) and len(point) >= len(longest):  # the later mount hides the earlier one
            found, longest = mount, point
    return found


def mounts_below(directory: str) -> list[str]:
    """The mount points on ``directory`` and in it, in the order of mounting."""
    inside = _closed(os.fsencode(os.path.realpath(directory)))
    points = [_closed(mount.point) for mount in _mounts(_TABLE)]
    return [os.fsdecode(point.rstrip(b"/")) for point in points if point.startswith(inside)]


def unmount_below(directory: str) -> list[str]:
    """Unmounts what is mounted on ``directory`` and in it, the last first: nobody needs it any more. Raises OSError."""
    import ctypes

    points = mounts_below(directory)
    for point in reversed(points):
        if ctypes.CDLL(None, use_errno=True).umount2(os.fsencode(point), _MNT_DETACH):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), point)
    return points


def _closed(path: bytes) -> bytes:
    return path.rstrip(b"/") + b"/"


def _mounts(table: str) -> Iterator[MountLine]:
    """In the order of mounting; none without /proc."""
    try:
        yield from mount_lines(table)
    except FileNotFoundError:
        return
