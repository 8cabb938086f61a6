"""Files in directories that came into being a moment ago."""

import os
from collections.abc import Iterator, Sequence

from inotify_simple import INotify, flags  # type: ignore[import-untyped]

from fswatch_builder._native import Baseline, Rootfs, Watches
from fswatch_builder.changes.widen import widen
from fswatch_builder.research.limits.experiment import Column, Experiment, Figure, Laboratory, Point, Row, grid, no_more
from fswatch_builder.research.limits.queue import child
from fswatch_builder.research.machine import Machine

_CHAINS = 50
_MASK = flags.CREATE | flags.CLOSE_WRITE
_WRITER = """
import os, sys
root, chains, depth = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for chain in range(chains):
    path = os.path.join(root, str(chain))
    for _ in range(depth):
        os.mkdir(path)
        os.close(os.open(path + "/file", os.O_CREAT | os.O_WRONLY))
        path += "/d"
"""


def _points(machine: Machine) -> Sequence[Point]:
    del machine
    return grid(depth=(1, 2, 4, 8, 16, 32), watcher=("events alone", "hints and baseline"))


def _measure(laboratory: Laboratory, point: Point) -> Iterator[Row]:
    tree, depth = os.path.join(laboratory.directory, "tree"), int(point["depth"] or 1)
    os.mkdir(tree)
    expected = _CHAINS * depth
    found = _by_events(tree, depth) if point["watcher"] == "events alone" else _by_hints(tree, depth)
    yield {**point, "files": expected, "missed": expected - found, "missed_share": 1 - found / expected}


def _by_events(tree: str, depth: int) -> int:
    """What most watchers do: a directory that appears is watched from then on, and events are believed."""
    found: set[str] = set()
    with INotify(nonblocking=True) as inotify:
        places = {inotify.add_watch(tree, _MASK): tree}
        with child(_WRITER, tree, str(_CHAINS), str(depth)) as writer:
            while True:
                ended = writer.poll() is not None
                events = inotify.read(timeout=5)
                for event in events:
                    path = os.path.join(places[event.wd], event.name)
                    if event.mask & flags.ISDIR:
                        places[inotify.add_watch(path, _MASK)] = path
                    else:
                        found.add(path)
                if ended and not events:
                    return len(found)


def _by_hints(tree: str, depth: int) -> int:
    """What this builder does: events say where to look, the disk says what is there."""
    rootfs = Rootfs(os.fsencode(tree))
    baseline, _ = Baseline.record(rootfs)
    with INotify(nonblocking=True) as inotify:
        watches = Watches(inotify.fileno())
        try:
            watches.arm(rootfs, baseline)
            with child(_WRITER, tree, str(_CHAINS), str(depth)) as writer:
                writer.wait()
            hints, _losses = widen(watches.settle())
        finally:
            watches.close()
    changes = baseline.reconcile(rootfs, hints)
    return sum(change.path.endswith(b"/file") for change in changes.changes)


EXPERIMENT = Experiment(
    name="newdirs",
    asks="How many files escape a watcher in directories that are made faster than it can watch them?",
    method=(
        "A process makes 50 chains of directories with a file in each. One watcher believes events: it watches a "
        "directory when it hears of it, and misses what was made in between. The other takes events as hints and "
        "looks at the disk afterwards, as this builder does."
    ),
    columns=(
        Column("depth", "", "directories in a chain"),
        Column("watcher", "", "events alone, or hints and baseline"),
        Column("files", "", "files made"),
        Column("missed", "", "files not found"),
        Column("missed_share", "", "the same, of all"),
    ),
    figures=(Figure("Files missed in new directories", "line", "depth", "missed_share", "watcher", log_x=True),),
    points=_points,
    more=no_more,
    measure=_measure,
)
