"""What a directory lies on, and what is mounted in it, as far as the store has to know (proc_pid_mountinfo(5))."""

import os
from collections.abc import Iterator
from typing import Final

from fswatch_builder.mountinfo import mount_lines

_TABLE: Final = "/proc/self/mountinfo"
_MNT_DETACH: Final = 2  # umount2(2)

#: One kernel alone writes to these, so memory mapped from them is the same for all who use it. A file system that is
#: not listed may be shared by several machines.
_LOCAL: Final = frozenset(
    (
        *(
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
        ),
        *("xfs", "zfs"),
    )
)


def is_local(directory: str, table: str = _TABLE) -> bool:
    """Whether this machine alone uses the file system; False where that cannot be told."""
    inside = _closed(os.fsencode(os.path.realpath(directory)))
    longest, kind = b"", ""
    for point, mounted in _mounts(table):
        if inside.startswith(point) and len(point) >= len(longest):  # the later mount hides the earlier one
            longest, kind = point, mounted
    return kind in _LOCAL


def mounts_below(directory: str) -> list[str]:
    """The mount points on ``directory`` and in it, in the order of mounting."""
    inside = _closed(os.fsencode(os.path.realpath(directory)))
    return [os.fsdecode(point.rstrip(b"/")) for point, _ in _mounts(_TABLE) if point.startswith(inside)]


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


def _mounts(table: str) -> Iterator[tuple[bytes, str]]:
    """Mount points, closed by a slash, and kinds of file system, in the order of mounting; none without /proc."""
    try:
        for mount in mount_lines(table):
            yield _closed(mount.point), mount.kind
    except FileNotFoundError:
        return
