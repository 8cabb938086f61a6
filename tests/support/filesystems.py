"""File systems that have to be mounted first: those with coarse clocks, and those with rules of their own."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

_MAKE = {
    "ext2": ["mkfs.ext2", "-q", "-I", "256"],
    "ext4": ["mkfs.ext4", "-q"],
    "xfs": ["mkfs.xfs", "-q"],
    "btrfs": ["mkfs.btrfs", "-q"],
}
_SIZE = {"xfs": 320 << 20, "btrfs": 256 << 20}
_IN_MEMORY = ("ramfs", "tmpfs")

KINDS = (*_MAKE, *_IN_MEMORY)


@contextlib.contextmanager
def mounted(kind: str, directory: Path) -> Iterator[Path]:
    """A new, empty file system below ``directory``. ``OSError`` or ``CalledProcessError`` where there is none."""
    point = directory / kind
    point.mkdir()
    if kind in _IN_MEMORY:
        subprocess.run(["mount", "-t", kind, kind, point], check=True, capture_output=True)
    else:
        image = directory / f"{kind}.img"
        with open(image, "wb") as file:
            os.truncate(file.fileno(), _SIZE.get(kind, 64 << 20))
        subprocess.run([*_MAKE[kind], image], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "loop", image, point], check=True, capture_output=True)
    try:
        yield point
    finally:
        subprocess.run(["umount", point], check=True, capture_output=True)
