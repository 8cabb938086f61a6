"""Writes so many that the fanotify tracker asks to be told of none, and whether it has."""

import os
import time
from pathlib import Path

FILES = 4_000
"""Enough to raise events faster than the kernel can merge them: each is told of on its own."""

_MODIFY, _CREATE = 0x2, 0x100


def make_many(directory: Path) -> None:
    """What :func:`storm` works on."""
    directory.mkdir(parents=True)
    for number in range(FILES):
        (directory / str(number)).touch()


def storm(directory: Path, *, silent: int = 1) -> None:
    """Truncates all of them, again and again, until so many groups of this process are told of no writes."""
    limit = time.monotonic() + 60
    while silent_groups() < silent:
        assert time.monotonic() < limit
        truncate_all(directory)


def truncate_all(directory: Path) -> None:
    """Raises MODIFY and nothing else, once for each."""
    for number in range(FILES):
        os.truncate(directory / str(number), 0)


def silent_groups() -> int:
    """Groups of this process with a mark on a file system that hears of names, and not of writes."""
    return sum(_marks_without_modify(descriptor) for descriptor in os.listdir("/proc/self/fdinfo"))


def _marks_without_modify(descriptor: str) -> int:
    try:
        text = Path("/proc/self/fdinfo", descriptor).read_text()
    except FileNotFoundError:  # the one of the listing
        return 0
    marks = [line.split() for line in text.splitlines() if line.startswith("fanotify sdev:")]
    masks = [int(word.removeprefix("mask:"), 16) for mark in marks for word in mark if word.startswith("mask:")]
    return sum(mask & _CREATE != 0 and mask & _MODIFY == 0 for mask in masks)
