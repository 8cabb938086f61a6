"""A memory cgroup of our own, where this machine lets us make one: it counts what no process has for itself.

Kernel memory (watches, marks, events that nobody has read, inodes held in memory) is charged to the cgroup of who asked
for it, so others' work is not in it; and the peak has the command's processes and the pages of files in it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import psutil  # type: ignore[import-untyped]
from msgspec import Struct


class MemoryGroup(Protocol):
    """What is charged to the processes in it. Sizes are bytes."""

    def kernel(self) -> int:
        """Kernel memory that is charged now."""

    def reset_peak(self) -> None:
        """The peak is what is charged now."""

    def peak(self) -> int:
        """The most that was charged since the last reset."""


class _First(Struct, frozen=True):
    """Of version 1 (Documentation/admin-guide/cgroup-v1/memory.rst)."""

    directory: str

    def kernel(self) -> int:
        """See MemoryGroup."""
        return _number(f"{self.directory}/memory.kmem.usage_in_bytes")

    def reset_peak(self) -> None:
        """See MemoryGroup."""
        _write(f"{self.directory}/memory.max_usage_in_bytes", "0")

    def peak(self) -> int:
        """See MemoryGroup."""
        return _number(f"{self.directory}/memory.max_usage_in_bytes")


class _Second(Struct, frozen=True):
    """Of version 2 (Documentation/admin-guide/cgroup-v2.rst). A peak can be reset from Linux 6.12 on, for who reads it
    through the same descriptor.
    """

    directory: str
    peak_fd: int

    def kernel(self) -> int:
        """See MemoryGroup."""
        with open(f"{self.directory}/memory.stat") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith("kernel "))

    def reset_peak(self) -> None:
        """See MemoryGroup."""
        os.write(self.peak_fd, b"reset\n")

    def peak(self) -> int:
        """See MemoryGroup."""
        return int(os.pread(self.peak_fd, 64, 0))


@contextmanager
def own_group() -> Iterator[MemoryGroup | None]:
    """This process in a cgroup of its own; it goes back, and the cgroup away. None where none can be made."""
    parent = _memory_group_of_this_process()
    made = None if parent is None else _made(parent)
    if parent is None or made is None:
        yield None
        return
    try:
        yield made
    finally:
        _write(f"{parent}/cgroup.procs", str(os.getpid()))
        if isinstance(made, _Second):
            os.close(made.peak_fd)
        os.rmdir(made.directory)


def _made(parent: str) -> _First | _Second | None:
    """With this process in it; where anything is refused, or is missing in this kernel, nothing is left."""
    directory = f"{parent}/fswatch-bench-{os.getpid()}"
    try:
        os.mkdir(directory)
    except OSError:
        return None
    made: _First | _Second | None = None
    try:
        if os.path.exists(f"{directory}/memory.max_usage_in_bytes"):
            made = _First(directory)
        else:
            made = _Second(directory, os.open(f"{directory}/memory.peak", os.O_RDWR | os.O_CLOEXEC))
        made.reset_peak()
        made.kernel()
        _write(f"{directory}/cgroup.procs", str(os.getpid()))
    except (OSError, StopIteration):
        if isinstance(made, _Second):
            os.close(made.peak_fd)
        os.rmdir(directory)
        return None
    return made


def _memory_group_of_this_process() -> str | None:
    """Its directory: of version 1 where memory is a hierarchy of its own, else of version 2."""
    with open("/proc/self/cgroup") as lines:
        paths = {names: path for _, names, path in (line.rstrip("\n").split(":", 2) for line in lines)}
    for part in psutil.disk_partitions(all=True):
        if part.fstype == "cgroup" and "memory" in part.opts.split(",") and "memory" in paths:
            return _below(part.mountpoint, paths["memory"])
    if "memory" in paths:
        return None
    for part in psutil.disk_partitions(all=True):
        if part.fstype == "cgroup2" and "" in paths:
            return _below(part.mountpoint, paths[""])
    return None


def _below(mountpoint: str, path: str) -> str | None:
    found = os.path.normpath(f"{mountpoint}/{path}")
    try:
        with open(f"{found}/cgroup.procs") as members:
            # In a cgroup namespace the path may be another group's.
            return found if str(os.getpid()) in (line.strip() for line in members) else None
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None


def _number(path: str) -> int:
    with open(path) as file:
        return int(file.read())


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)
