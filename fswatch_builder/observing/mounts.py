"""What a directory lies on, and what is mounted below it.

No tracker hears of what happens in another file system: a mount below is a place to look at whole. And not all of them
hold files: /proc has no end and no content of its own.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from fswatch_builder.mountinfo import MountLine, holds_files, mount_lines


class Mount(Struct, frozen=True):
    """One at or below a directory: its path relative to it, and the kind of file system."""

    path: bytes
    kind: str

    @property
    def holds_files(self) -> bool:
        """Whether what is in it can be compared."""
        return holds_files(self.kind)


def mounts_below(directory: bytes, mountinfo: str = "/proc/self/mountinfo") -> tuple[Mount, ...]:
    """What ``directory`` (absolute, without links) lies on, with the path ``b""``, then all mounts that are seen
    below it, sorted by path. One that is hidden by another is none.
    """
    inside = _with_slash(directory)
    within = _by_parent(mountinfo)
    on, shown = None, _shown(within, None)
    while entered := next((mount for mount in shown if inside.startswith(_with_slash(mount.point))), None):
        on, shown = entered, _shown(within, entered.number)
    below: list[Mount] = []
    ahead = [mount for mount in shown if _with_slash(mount.point).startswith(inside)]
    while ahead:
        mount = ahead.pop()
        below.append(Mount(mount.point.removeprefix(inside), mount.kind))
        ahead += _shown(within, mount.number)
    return (Mount(b"", on.kind if on else ""), *sorted(below, key=lambda mount: mount.path))


def topmost(mounts: Sequence[Mount]) -> tuple[Mount, ...]:
    """Those that are in no other one."""
    return tuple(mount for mount in mounts if not any(mount.path.startswith(other.path + b"/") for other in mounts))


_Within = Mapping[int | None, Sequence[MountLine]]


def _by_parent(mountinfo: str) -> _Within:
    """Mounts by the number of the one they lie in; None stands for one that this process does not see."""
    mounts = list(mount_lines(mountinfo))
    seen = {mount.number for mount in mounts}
    within: defaultdict[int | None, list[MountLine]] = defaultdict(list)
    for mount in mounts:
        is_seen = mount.parent in seen and mount.parent != mount.number
        within[mount.parent if is_seen else None].append(mount)
    return within


def _shown(within: _Within, parent: int | None) -> Sequence[MountLine]:
    """What is come upon on a walk through one mount: at each point, what lies on top."""
    mounts = within.get(parent, ())
    points = {_with_slash(mount.point) for mount in mounts}
    first = (mount for mount in mounts if not any(_is_below(mount, point) for point in points))
    return [_uppermost(within, mount) for mount in first]


def _is_below(mount: MountLine, point: bytes) -> bool:
    own = _with_slash(mount.point)
    return own != point and own.startswith(point)


def _uppermost(within: _Within, mount: MountLine) -> MountLine:
    while over := next(_over(within, mount), None):
        mount = over
    return mount


def _over(within: _Within, mount: MountLine) -> Iterator[MountLine]:
    return (over for over in within.get(mount.number, ()) if over.point == mount.point)


def _with_slash(path: bytes) -> bytes:
    return path.rstrip(b"/") + b"/"
