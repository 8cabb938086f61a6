"""The mounts that this process sees (proc_pid_mountinfo(5))."""

import os
import re
from collections.abc import Iterator

from msgspec import Struct

_ESCAPE = re.compile(rb"\\([0-7]{3})")

#: File systems that show the kernel's state, or hand over devices. A FUSE or network file system does hold files.
_NO_FILES = frozenset(
    (
        *("autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs"),
        *("efivarfs", "fusectl", "hugetlbfs", "mqueue", "nsfs", "proc", "pstore", "rpc_pipefs", "securityfs"),
        *("selinuxfs", "smackfs", "sysfs", "tracefs"),
    )
)

#: Where every question goes over a network, and may never be answered.
_REMOTE = frozenset(["9p", "afs", "ceph", "cifs", "ncpfs", "nfs", "nfs4", "smb3", "virtiofs"])


class MountLine(Struct, frozen=True):
    """One mount. ``root`` is the directory of the file system that is seen at ``point``, which lies in the mount
    with number ``parent``. ``super_options`` are those of the file system, each escaped as `unescaped` reads it.
    """

    number: int
    parent: int
    device: bytes
    root: bytes
    point: bytes
    options: frozenset[bytes]
    kind: str
    super_options: tuple[bytes, ...]

    @property
    def is_remote(self) -> bool:
        """Whether another machine, or a process, has to answer for it."""
        return self.kind in _REMOTE or self.kind.startswith("fuse")


def holds_files(kind: str) -> bool:
    """Whether what is in a file system of that kind are files that can be compared."""
    return kind not in _NO_FILES


def mount_lines(mountinfo: str = "/proc/self/mountinfo") -> Iterator[MountLine]:
    """All of them, in the order in which they were mounted."""
    with open(mountinfo, "rb") as table:
        for line in table:
            fields, _, rest = line.partition(b" - ")
            number, parent, device, root, point, options, *_ = fields.split(b" ")
            yield MountLine(
                int(number),
                int(parent),
                device,
                unescaped(root),
                unescaped(point),
                frozenset(options.split(b",")),
                os.fsdecode(rest.split(b" ")[0]),
                tuple(rest.rstrip(b"\n").split(b" ")[-1].split(b",")),
            )


def unescaped(escaped: bytes) -> bytes:
    """What the kernel's tables write with octal escapes: white space and backslashes, and commas in options."""
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), escaped)
