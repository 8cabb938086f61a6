"""What a directory lies on, and what is mounted below it.

No tracker hears of what happens in another file system: a mount below is a place to look at whole. And not all of them
hold files: /proc has no end and no content of its own.
"""

from msgspec import Struct

from fswatch_builder.mountinfo import holds_files, mount_lines


class Mount(Struct, frozen=True):
    """One at or below a directory: its path relative to it, and the kind of file system."""

    path: bytes
    kind: str

    @property
    def holds_files(self) -> bool:
        """Whether what is in it can be compared."""
        return holds_files(self.kind)


def mounts_below(directory: bytes, mountinfo: str = "/proc/self/mountinfo") -> tuple[Mount, ...]:
    """What ``directory`` (absolute, without links) lies on, with the path ``b""``, then the topmost mounts below it,
    sorted by path.
    """
    inside = directory.rstrip(b"/") + b"/"
    at, above = b"", ""
    below: dict[bytes, str] = {}
    for mount in mount_lines(mountinfo):
        point = mount.point.rstrip(b"/") + b"/"
        # What is mounted later, on the same point or above it, hides what was.
        if inside.startswith(point) and len(point) >= len(at):
            at, above = point, mount.kind
        elif point.startswith(inside):
            below[point.removeprefix(inside).rstrip(b"/")] = mount.kind
    topmost = [path for path in sorted(below) if not any(path.startswith(other + b"/") for other in below)]
    return (Mount(b"", above), *(Mount(path, below[path]) for path in topmost))
