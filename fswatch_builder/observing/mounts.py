"""What a directory lies on, and what is mounted below it.

No tracker hears of what happens in another file system: a mount below is a place to look at whole. And not all of them
hold files: /proc has no end and no content of its own.
"""

import os
import re
from dataclasses import dataclass

_ESCAPE = re.compile(rb"\\([0-7]{3})")

#: File systems that show the kernel's state, or hand over devices. A FUSE or network file system does hold files.
_NO_FILES = frozenset(
    b"autofs binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs fusectl hugetlbfs mqueue nsfs "
    b"proc pstore rpc_pipefs securityfs selinuxfs smackfs sysfs tracefs".split()
)


@dataclass(frozen=True, slots=True)
class Mount:
    """One at or below a directory: its path relative to it, and the kind of file system."""

    path: bytes
    kind: str

    @property
    def holds_files(self) -> bool:
        """Whether what is in it can be compared."""
        return os.fsencode(self.kind) not in _NO_FILES


def mounts_below(directory: bytes, mountinfo: str = "/proc/self/mountinfo") -> tuple[Mount, ...]:
    """What ``directory`` (absolute, without links) lies on, with the path ``b""``, then the topmost mounts below it,
    sorted by path (proc_pid_mountinfo(5)).
    """
    inside = directory.rstrip(b"/") + b"/"
    at, above = b"", b""
    below: dict[bytes, bytes] = {}
    with open(mountinfo, "rb") as table:
        for line in table:
            fields, _, rest = line.partition(b" - ")
            kind = rest.split(b" ")[0]
            point = _ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), fields.split(b" ")[4]).rstrip(b"/") + b"/"
            # What is mounted later, on the same point or above it, hides what was.
            if inside.startswith(point) and len(point) >= len(at):
                at, above = point, kind
            elif point.startswith(inside):
                below[point.removeprefix(inside).rstrip(b"/")] = kind
    topmost = [path for path in sorted(below) if not any(path.startswith(other + b"/") for other in below)]
    return (Mount(b"", os.fsdecode(above)), *(Mount(path, os.fsdecode(below[path])) for path in topmost))
