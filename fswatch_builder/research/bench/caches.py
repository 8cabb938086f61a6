"""Warm or cold: whether the kernel still knows the tree when a trial begins."""

import os
from collections.abc import Callable, Mapping
from types import MappingProxyType

from fswatch_builder.errors import UsageError
from fswatch_builder.research.machine import file_system

WARM, COLD_FILES, COLD = "warm", "cold-files", "cold"

_DROP = "/proc/sys/vm/drop_caches"
_EVERYTHING = b"3\n"


def keep(tree: str) -> None:
    """Warm: as the trial before has left them."""
    del tree


def forget_files(tree: str) -> None:
    """The contents of the tree's files are forgotten (posix_fadvise(2)); its names and inodes stay known."""
    os.sync()  # what is not written yet is not forgotten
    for parent, _, names in os.walk(tree):
        for name in names:
            path = os.path.join(parent, name)
            if os.path.isfile(path) and not os.path.islink(path):
                file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NOATIME | os.O_CLOEXEC)
                try:
                    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
                finally:
                    os.close(file)


def drop(tree: str) -> None:
    """Contents, names and inodes are forgotten, other programs' too (proc_sys_vm(5))."""
    del tree
    os.sync()
    with open(_DROP, "wb", buffering=0) as file:
        file.write(_EVERYTHING)


STATES: Mapping[str, Callable[[str], None]] = MappingProxyType({WARM: keep, COLD_FILES: forget_files, COLD: drop})
"""What is done to a tree before each trial, by the state of the caches that it brings about."""


def check(state: str, directory: str) -> None:
    """UsageError if trees in ``directory`` cannot be brought into that state."""
    if state == COLD and not os.access(_DROP, os.W_OK):
        raise UsageError("--cold needs root", hint="run it as root, or with --cache cold-files")
    if state != WARM and file_system(directory) in ("tmpfs", "ramfs"):
        raise UsageError(
            f"{directory} is kept in memory alone, so nothing of it is ever cold", hint="give a --directory on a disk"
        )
