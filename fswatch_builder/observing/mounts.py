"""What is mounted below a directory.

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
    """One below a directory: its path relative to it, and the kind of file system."""

    path: bytes
    kind: str
    holds_files: bool


def mounts_below(directory: bytes, mountinfo: str = "/proc/self/mountinfo") -> tuple[Mount, ...]:
    """The topmost ones, sorted by path (proc_pid_mountinfo(5)). ``directory`` is absolute, without links."""
    inside = directory.rstrip(b"/") + b"/"
    found: dict[bytes, bytes] = {}
    with open(mountinfo, "rb") as table:
        for line in table:
            fields, _, rest = line.partition(b" - ")
            point = _ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), fields.split(b" ")[4])
            if point.startswith(inside) and point != inside:
                found[point.removeprefix(inside)] = rest.split(b" ")[0]
    topmost = [path for path in sorted(found) if not any(path.startswith(other + b"/") for other in found)]
    return tuple(Mount(path, os.fsdecode(found[path]), found[path] not in _NO_FILES) for path in topmost)
