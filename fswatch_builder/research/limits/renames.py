"""What comes between the two halves of a rename."""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Protocol

from inotify_simple import INotify, flags  # type: ignore[import-untyped]
from msgspec import Struct

from fswatch_builder.research.limits.experiment import Column, Experiment, Figure, Laboratory, Point, Row, grid, no_more
from fswatch_builder.research.limits.queue import child
from fswatch_builder.research.machine import Machine

_RENAMES = 2_000
_MASK = flags.MOVED_FROM | flags.MOVED_TO | flags.CREATE
_MOVER = """
import os, sys
one, other, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
os.close(os.open(one + "/file", os.O_CREAT | os.O_WRONLY))
for number in range(count):
    os.rename(one + "/file", other + "/file")
    one, other = other, one
"""
_NOISE = """
import os, sys
name = sys.argv[1] + "/" + str(os.getpid())
while True:
    os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
    os.unlink(name)
"""


class _Event(Protocol):
    """As inotify_simple reads it."""

    mask: int
    cookie: int


def _points(machine: Machine) -> Sequence[Point]:
    del machine
    return grid(others=(0, 1, 2), batch=("kernel", "64 events"))


def _measure(laboratory: Laboratory, point: Point) -> Iterator[Row]:
    places = [os.path.join(laboratory.directory, name) for name in ("one", "other", "noise")]
    for place in places:
        os.mkdir(place)
    halves = _halves(_read(places, int(point["others"] or 0)), 64 if point["batch"] == "64 events" else None)
    whole = [both for both in halves if len(both) == 2]
    yield {
        **point,
        "renames": _RENAMES,
        "between_max": max((last.position - first.position - 1 for first, last in whole), default=0),
        "apart_share": sum(last.position - first.position > 1 for first, last in whole) / _RENAMES,
        "split_share": sum(first.batch != last.batch for first, last in whole) / _RENAMES,
        "unpaired": len(halves) - len(whole),
    }


class _Half(Struct, frozen=True):
    """Its place among all events, and the batch it came in."""

    position: int
    batch: int


def _halves(reads: Sequence[Sequence[_Event]], size: int | None) -> list[list[_Half]]:
    """The halves of every rename. Each read is cut into batches of ``size``, if there is one."""
    found: defaultdict[int, list[_Half]] = defaultdict(list)
    position = batch = 0
    for events in reads:
        for number, event in enumerate(events):
            position += 1
            batch += number == 0 or (size is not None and number % size == 0)
            if event.mask & (flags.MOVED_FROM | flags.MOVED_TO):
                found[event.cookie].append(_Half(position, batch))
    return list(found.values())


def _read(places: Sequence[str], others: int) -> list[list[_Event]]:
    """All events until the mover is done, read by read."""
    reads: list[list[_Event]] = []
    with INotify(nonblocking=True) as inotify:
        for place in places:
            inotify.add_watch(place, _MASK)
        noise = [child(_NOISE, places[2]) for _ in range(others)]
        try:
            with child(_MOVER, places[0], places[1], str(_RENAMES)) as mover:
                while mover.poll() is None:
                    reads.append(inotify.read(timeout=5))
        finally:
            for process in noise:
                process.kill()
                process.communicate()
        # What others did is over, and so the queue has an end.
        reads.append(inotify.read(timeout=0))
    return reads


EXPERIMENT = Experiment(
    name="renames",
    asks="Do the two halves of a rename arrive together?",
    method=(
        "A process renames a file between two watched directories 2,000 times while others make and remove files in"
        " a third. What the reader gets is taken as the kernel's reads gave it, or cut into batches of 64 events, "
        "as readers with a small buffer see it. A watcher that pairs halves within one batch takes a split rename "
        "for a deletion and a creation."
    ),
    columns=(
        Column("others", "", "processes that make events meanwhile"),
        Column("batch", "", "how events are taken"),
        Column("renames", "", "renames done"),
        Column("between_max", "", "events between two halves at most"),
        Column("apart_share", "", "renames with other events between their halves"),
        Column("split_share", "", "renames whose halves were in different batches"),
        Column("unpaired", "", "halves whose other one never came"),
    ),
    figures=(Figure("Renames split between batches", "bar", "others", "split_share", "batch"),),
    points=_points,
    more=no_more,
    measure=_measure,
)
