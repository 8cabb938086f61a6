"""Where the programs of this machine lie: one directory on each file system that has some."""

from collections.abc import Sequence

from fswatch_builder.mountinfo import MountLine, holds_files, mount_lines


def places_of_programs(mountinfo: str = "/proc/self/mountinfo") -> tuple[Sequence[bytes], Sequence[bytes]]:
    """Mount points, one for each file system from which programs may be executed; and those that are not to be asked:
    where another machine would have to answer.

    Of several mounts of one file system it is the one that shows most of it: by that the paths of programs are found.
    """
    by_device: dict[bytes, MountLine] = {}
    for mount in mount_lines(mountinfo):
        if not holds_files(mount.kind) or b"noexec" in mount.options:
            continue
        known = by_device.get(mount.device)
        if known is None or (len(mount.root), len(mount.point)) < (len(known.root), len(known.point)):
            by_device[mount.device] = mount
    found = sorted(by_device.values(), key=lambda mount: mount.point)
    return (
        [mount.point for mount in found if not mount.is_remote],
        [mount.point for mount in found if mount.is_remote],
    )
