"""What watches cost: time and memory, one after the other up to what is allowed."""

import os
import time
from collections.abc import Iterator, Sequence

from inotify_simple import INotify  # type: ignore[import-untyped]

from fswatch_builder._native import Baseline, Rootfs, Watches
from fswatch_builder.research import memory
from fswatch_builder.research.limits.experiment import Column, Experiment, Figure, Laboratory, Point, Row, grid
from fswatch_builder.research.limits.trees import directories
from fswatch_builder.research.machine import Machine
from fswatch_builder.tracking.limits import watch_budget

_MASK = 0x3C6  # MODIFY ATTRIB MOVED_FROM MOVED_TO CREATE DELETE, of inotify(7)


def _points(machine: Machine) -> Sequence[Point]:
    return _up_to(machine, 50_000)


def _more(machine: Machine) -> Sequence[Point]:
    counts = (100_000, 200_000, 400_000, 800_000)
    allowed = [count for count in counts if count <= _allowed(machine)]
    return grid(directories=allowed, shape=("wide",), method=("list",))


def _up_to(machine: Machine, most: int) -> Sequence[Point]:
    counts = [count for count in (1_000, 2_000, 5_000, 10_000, 20_000, 50_000) if count <= min(most, _allowed(machine))]
    return grid(directories=counts, shape=("wide", "deep"), method=("list", "path"))


def _allowed(machine: Machine) -> int:
    return watch_budget(machine.watches)


def _measure(laboratory: Laboratory, point: Point) -> Iterator[Row]:
    count, shape = int(point["directories"] or 0), str(point["shape"])
    tree = os.path.join(laboratory.directory, "tree")
    os.mkdir(tree)
    directories(tree, count, shape)
    rootfs = Rootfs(os.fsencode(tree))
    baseline, _ = Baseline.record(rootfs, digests=False)
    memory.reset_peak_rss()
    slab, resident = memory.kernel_slab(), memory.peak_rss()
    with INotify(nonblocking=True) as inotify:
        if point["method"] == "list":
            watches = Watches(inotify.fileno())
            begun = time.perf_counter()
            watches.arm(rootfs, baseline)
            seconds = time.perf_counter() - begun
            set_ = watches.count
        else:
            watches = None
            paths = [os.path.join(tree, os.fsdecode(path)) for path in baseline.paths() if path]
            begun = time.perf_counter()
            for path in (tree, *paths):
                inotify.add_watch(path, _MASK)
            seconds = time.perf_counter() - begun
            set_ = len(paths) + 1
        grown, own = memory.kernel_slab() - slab, memory.peak_rss() - resident
        begun = time.perf_counter()
        if watches is not None:
            watches.close()
    closed = time.perf_counter() - begun
    yield {
        **point,
        "watches": set_,
        "seconds": seconds,
        "us_per_watch": seconds / set_ * 1e6,
        "close_seconds": closed,
        "kernel_bytes_per_watch": grown / set_,
        "own_bytes_per_watch": own / set_,
    }


EXPERIMENT = Experiment(
    name="watches",
    asks="What does an inotify watch cost, in time and memory, up to the number that is allowed?",
    method=(
        "A tree of directories is made and recorded, then every directory is watched: by the builder's own arming, "
        "from the recorded list on two threads (method list), or by a loop of inotify_add_watch(2) over paths "
        "(method path). Kernel memory is what SUnreclaim of /proc/meminfo grows by, of the whole machine; the "
        "inodes that watches keep in memory are there already and not counted. Half of the user's limit is left to "
        "others at least."
    ),
    columns=(
        Column("directories", "", "directories in the tree, its root not counted"),
        Column("shape", "", "wide: a hundred directories in each; deep: chains of 200"),
        Column("method", "", "list or path, see the method"),
        Column("watches", "", "watches that were set"),
        Column("seconds", "s", "time to set them"),
        Column("us_per_watch", "µs", "the same by watch"),
        Column("close_seconds", "s", "time until they are gone again"),
        Column("kernel_bytes_per_watch", "B", "kernel memory"),
        Column("own_bytes_per_watch", "B", "memory of the process"),
    ),
    figures=(
        Figure("Time to watch a tree", "line", "watches", "seconds", "method", log_x=True, log_y=True),
        Figure("Kernel memory by watch", "line", "watches", "kernel_bytes_per_watch", "shape", log_x=True),
    ),
    points=_points,
    more=_more,
    measure=_measure,
)
