"""Files that the kernel itself writes to, for others: no event tells of it, neither inotify's nor fanotify's.

The writes of a loop device go past the code that raises events (drivers/block/loop.c, lo_rw_aio), pages of a swap file
past the file system; and on Linux 6.1 (not 6.18) overlayfs opens the files of its upper directory with FMODE_NONOTIFY.
tests/e2e/test_track_kernel_writers.py shows the first.
"""

import os
from collections.abc import Iterator
from glob import glob
from typing import Literal

from msgspec import Struct

from fswatch_builder.mountinfo import mount_lines, unescaped

_DELETED = b" (deleted)"


class WrittenByKernel(Struct, frozen=True):
    """A place below a directory, as a path relative to it; what it is to the kernel, for people; how far to look."""

    path: bytes
    what: str
    scope: Literal["entry", "subtree"]


def kernel_writers(directory: bytes, *, sys: str = "/sys", proc: str = "/proc") -> tuple[WrittenByKernel, ...]:
    """Those below ``directory`` (absolute, without links) that there are now, sorted by path."""
    found = (*_loop_devices(sys), *_swap_files(proc), *_upper_directories(proc))
    inside = directory.rstrip(b"/") + b"/"
    below = {
        WrittenByKernel(path[len(inside) :], what, scope)
        for path, what, scope in found
        if (path + b"/").startswith(inside)
    }
    return tuple(sorted(below, key=lambda place: place.path))


_Found = tuple[bytes, str, Literal["entry", "subtree"]]


def _loop_devices(sys: str) -> Iterator[_Found]:
    for name in glob(f"{sys}/block/loop*/loop/backing_file"):
        try:
            with open(name, "rb") as file:
                path = file.read().removesuffix(b"\n")
        except OSError:
            continue  # It was detached meanwhile, which raises an event.
        if not path.endswith(_DELETED):
            yield path, f"is the file of {name.removeprefix(f'{sys}/block/').partition('/')[0]}", "entry"


def _swap_files(proc: str) -> Iterator[_Found]:
    try:
        with open(f"{proc}/swaps", "rb") as table:
            lines = table.readlines()[1:]
    except FileNotFoundError:
        return  # a kernel that cannot swap
    for line in lines:
        path, kind, *_ = line.split()
        if kind == b"file" and not unescaped(path).endswith(_DELETED):
            yield unescaped(path), "is swapped to", "entry"


def _upper_directories(proc: str) -> Iterator[_Found]:
    for mount in mount_lines(f"{proc}/self/mountinfo"):
        for option in mount.super_options if mount.kind == "overlay" else ():
            path = unescaped(option.removeprefix(b"upperdir="))
            # One that was given relative to a directory is anywhere.
            if option.startswith(b"upperdir=") and path.startswith(b"/"):
                yield os.path.realpath(path), f"is written to by the overlay at {os.fsdecode(mount.point)}", "subtree"
