"""What can be done to a directory and the files in it, and which events that raises: one row a function.

Each works in the tree of :func:`plant`. ``d`` is watched by inotify, ``e`` is not; fanotify has marked the file system.
A function that yields has its events read there, and once more at its end. Expectations are in words, a string for each
reading: ``FLAGS name`` of inotify in their order, ``FLAGS directory/name`` of fanotify as a set, since it merges.
A place in braces was reported without a name, by the handle of the inode alone.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

EVERYWHERE = ("here", "tmpfs", "ext4", "xfs", "btrfs")
ON_DISK = ("ext4", "xfs", "btrfs")

Act = Callable[..., Iterator[None] | None]


@dataclass(frozen=True)
class Operation:
    """A row of the table."""

    name: str
    act: Act
    inotify: tuple[str, ...]
    fanotify: tuple[str, ...]
    on: tuple[str, ...]
    before: Callable[[], Any] | None
    """Done before anything is armed; its result is given to ``act``."""
    root: bool
    lacks: frozenset[int]
    """Errors that mean: this kernel or file system does not have it."""
    missed_by: tuple[str, ...]
    """Trackers that do not see it: a stated limit (tracking/README.md)."""

    def stops(self, prepared: Any) -> Iterator[None]:
        """Runs it; stops where events are to be read."""
        steps = self.act(prepared) if self.before else self.act()
        if steps is not None:
            yield from steps
        yield


def operation(
    rows: list[Operation],
    inotify: str,
    fanotify: str,
    *,
    on: tuple[str, ...] = EVERYWHERE,
    before: Callable[[], Any] | None = None,
    root: bool = False,
    lacks: tuple[int, ...] = (),
    missed_by: tuple[str, ...] = (),
) -> Callable[[Act], Act]:
    """Readings are parted by a slash with a blank on either side."""

    def enter(act: Act) -> Act:
        readings = tuple(inotify.split(" / ")), tuple(fanotify.split(" / "))
        rows.append(Operation(act.__name__, act, *readings, on, before, root, frozenset(lacks), missed_by))
        return act

    return enter


def write(path: str, content: str) -> None:
    with open(path, "w") as file:
        file.write(content)


def plant() -> None:
    """In the working directory."""
    for directory in ("d", "d/sub", "e", "e/full"):
        os.mkdir(directory)
    for path in ("d/f", "d/g", "d/one", "d/sub/h", "e/other", "e/full/inner"):
        write(path, "x" * 8192)
    os.link("d/one", "e/one-too")
    os.symlink("f", "d/link")
    os.mkfifo("d/fifo")
