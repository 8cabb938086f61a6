"""File systems and kinds of mounts to try, mounted in a mount namespace that nobody else sees."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping

#: The size of the image each is made on, bytes.
_IMAGES = {"ext4": 64 << 20, "xfs": 320 << 20, "btrfs": 160 << 20}
_SBIN = "/usr/sbin:/sbin:/usr/bin:/bin"


def is_there(kind: str) -> bool:
    """Whether one can be made, as far as programs tell."""
    return all(shutil.which(program, path=_SBIN) for program in _PROGRAMS.get(kind, ()))


def mount(kind: str, directory: str) -> str:
    """A directory of that kind, below ``directory``. CalledProcessError if this kernel has none."""
    point = os.path.join(directory, "mounted")
    os.mkdir(point)
    return KINDS[kind](directory, point)


def _tmpfs(directory: str, point: str) -> str:
    del directory
    return _mounted("tmpfs", "tmpfs", point, "size=64m")


def _on_image(kind: str) -> Callable[[str, str], str]:
    def make(directory: str, point: str) -> str:
        source = os.path.join(directory, "image")
        with open(source, "wb") as image:
            image.truncate(_IMAGES[kind])
        mkfs = shutil.which(f"mkfs.{kind}", path=_SBIN) or f"mkfs.{kind}"
        subprocess.run([mkfs, "-q", source], check=True, stdout=subprocess.DEVNULL)
        return _mounted(kind, source, point, "loop")

    return make


def _subvolume(directory: str, point: str) -> str:
    inside = os.path.join(_on_image("btrfs")(directory, point), "subvolume")
    subprocess.run(["btrfs", "-q", "subvolume", "create", inside], check=True, stdout=subprocess.DEVNULL)
    return inside


def _overlay(*options: str) -> Callable[[str, str], str]:
    def make(directory: str, point: str) -> str:
        parts = {name: os.path.join(directory, name) for name in ("lower", "upper", "work")}
        for part in parts.values():
            os.mkdir(part)
        layers = [f"lowerdir={parts['lower']}", f"upperdir={parts['upper']}", f"workdir={parts['work']}"]
        return _mounted("overlay", "overlay", point, ",".join((*layers, *options)))

    return make


def _bound(directory: str, point: str) -> str:
    source = os.path.join(directory, "source")
    os.mkdir(source)
    subprocess.run(["mount", "--bind", source, point], check=True)
    return point


def _mounted(kind: str, source: str, point: str, options: str) -> str:
    subprocess.run(["mount", "-t", kind, "-o", options, source, point], check=True)
    return point


KINDS: Mapping[str, Callable[[str, str], str]] = {
    "tmpfs": _tmpfs,
    "ext4": _on_image("ext4"),
    "xfs": _on_image("xfs"),
    "btrfs": _on_image("btrfs"),
    "btrfs subvolume": _subvolume,
    "bind mount": _bound,
    "overlay": _overlay(),
    "overlay with file handles": _overlay("index=on", "nfs_export=on"),
}
"""How each is made, given a directory for what it is made of and an empty one to mount it on. Returns where it is."""

_PROGRAMS = {
    "ext4": ("mkfs.ext4",),
    "xfs": ("mkfs.xfs",),
    "btrfs": ("mkfs.btrfs",),
    "btrfs subvolume": ("mkfs.btrfs", "btrfs"),
}
