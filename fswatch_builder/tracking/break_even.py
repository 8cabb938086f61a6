"""What watching a RUN costs beside a scan after it: by a model, fitted to what was measured.

A tree can be so small that looking at every entry takes less than to set a watcher up and to end it: of an instance of
inotify the latter waits for a grace period of the kernel, milliseconds (fsnotify_wait_marks_destroyed()). `auto` then
scans, until that has cost as much. Nothing else depends on the model: whatever is taken, the same changes are found.

The figures are in ``break_even.json`` beside this file, and say what machine they are from. ``python -m benchmarks
break-even`` fits them anew, to rows of ``fswatch-builder limits break-even``.
"""

import os
from collections.abc import Mapping
from functools import cache

import msgspec
from msgspec import Struct

from fswatch_builder._native import Baseline

FILE = os.path.join(os.path.dirname(__file__), "break_even.json")


class Line(Struct, frozen=True):
    """``seconds = fixed + each * count``. ``error`` is the median of what it is off by, as a share of the measured."""

    fixed: float
    each: float
    error: float

    def at(self, count: float) -> float:
        """Seconds for ``count``."""
        return self.fixed + self.each * count


class Plane(Struct, frozen=True):
    """``seconds = fixed + entry * entries + change * changes``; ``error`` as for a line."""

    fixed: float
    entry: float
    change: float
    error: float

    def at(self, entries: float, changes: float) -> float:
        """Seconds for so many of both."""
        return self.fixed + self.entry * entries + self.change * changes


class Watching(Struct, frozen=True):
    """Of one tracker: ``arm`` is paid once and goes by directories, ``step`` after every RUN, by what it changed."""

    arm: Line
    step: Line


class Costs(Struct, frozen=True):
    """``scan`` is paid after every RUN. ``machine`` and ``taken`` say where it all is from."""

    machine: str
    taken: str
    scan: Plane
    watching: Mapping[str, Watching]

    def dearer_than_scan(self, tracker: str, entries: int, directories: int, runs: int) -> str | None:
        """Why that tracker costs more than scans of a tree of that size; None if it does not, or nobody knows.

        ``runs`` are those so far and the next one: what may follow is not counted, for nobody knows whether it will. So
        one begins to watch when watching from the start would have cost no more, and has then paid twice that at most.
        What a RUN changes, both have to look at, and is left out.
        """
        if tracker not in self.watching:
            return None
        watching = self.watching[tracker]
        watched = watching.arm.at(directories) + watching.step.at(0) * runs
        scanned = self.scan.at(entries, 0) * runs
        if watched <= scanned:
            return None
        times = "once" if runs == 1 else f"{runs} times"
        return (
            f"to look at all {entries:,} entries {times} takes less than to watch them "
            f"(about {scanned * 1000:.2g} ms and {watched * 1000:.2g} ms)"
        )


@cache
def recorded() -> Costs:
    """The model that comes with this program."""
    with open(FILE, "rb") as file:
        return msgspec.json.decode(file.read(), type=Costs)


def dearer_than_scan(tracker: str, baseline: Baseline, runs: int = 1) -> str | None:
    """Why that tracker costs more than scans of the tree that ``baseline`` describes; None if it does not."""
    return recorded().dearer_than_scan(tracker, len(baseline), baseline.directories, runs)
