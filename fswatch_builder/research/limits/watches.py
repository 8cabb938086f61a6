"""What watches cost: time and memory, one after the other up to what is allowed."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median

from inotify_simple import INotify  # type: ignore[import-untyped]
from msgspec import Struct

from fswatch_builder._native import Baseline, FilesystemMark, Rootfs, Watches
from fswatch_builder.research import memory
from fswatch_builder.research.limits.experiment import Claim, Column, Experiment, Figure, Laboratory, Point, Row, grid
from fswatch_builder.research.limits.trees import directories
from fswatch_builder.research.machine import Machine
from fswatch_builder.tracking.limits import watch_budget

_MASK = 0x3C6  # MODIFY ATTRIB MOVED_FROM MOVED_TO CREATE DELETE, of inotify(7)
_SHAPES = ("wide", "deep", "flat")
_MANY = 100_000


def _points(machine: Machine) -> Sequence[Point]:
    return [
        *grid(directories=_allowed(machine, 1_000, 5_000, 20_000), shape=_SHAPES, method=("list", "path")),
        *grid(directories=_allowed(machine, _MANY), shape=("wide",), method=("list",)),
        *_marks(machine, 1_000, 5_000, 20_000, _MANY),
    ]


def _more(machine: Machine) -> Sequence[Point]:
    most = watch_budget(machine.watches) - 1
    counts = _allowed(machine, 50_000, 200_000, 400_000, 1_000_000)
    # As far as it goes, where that is not out of reach altogether.
    counts += [most] if most <= 2_000_000 and most not in counts else []
    return [*grid(directories=counts, shape=("wide",), method=("list",)), *_marks(machine, *counts)]


def _allowed(machine: Machine, *counts: int) -> list[int]:
    return [count for count in counts if count < watch_budget(machine.watches)]


def _marks(machine: Machine, *counts: int) -> list[Point]:
    return grid(directories=counts, shape=("wide",), method=("mark",)) if machine.is_root else []


class _Watched(Struct, frozen=True):
    """``set_`` watches or marks, what ends them, and how long it took."""

    set_: int
    seconds: float
    close: Callable[[], None]


def _measure(laboratory: Laboratory, point: Point) -> Iterator[Row]:
    count, shape = int(point["directories"] or 0), str(point["shape"])
    tree = os.path.join(laboratory.directory, "tree")
    os.mkdir(tree)
    directories(tree, count, shape)
    rootfs = Rootfs(os.fsencode(tree))
    baseline, _ = Baseline.record(rootfs, digests=False)
    memory.reset_peak_rss()
    slab, resident = memory.kernel_slab(), memory.peak_rss()
    watched = _METHODS[str(point["method"])](rootfs, baseline)
    grown, own = memory.kernel_slab() - slab, memory.peak_rss() - resident
    begun = time.perf_counter()
    watched.close()
    closed = time.perf_counter() - begun
    yield {
        **point,
        "watches": watched.set_,
        "seconds": watched.seconds,
        "us_per_directory": watched.seconds / (count + 1) * 1e6,
        "close_seconds": closed,
        "kernel_bytes_per_directory": grown / (count + 1),
        "own_bytes_per_directory": own / (count + 1),
        "inode_bytes": memory.inode_size(laboratory.machine.file_system),
    }


def _by_list(rootfs: Rootfs, baseline: Baseline) -> _Watched:
    inotify = INotify(nonblocking=True)
    watches = Watches(inotify.fileno())
    begun = time.perf_counter()
    watches.arm(rootfs, baseline)
    seconds = time.perf_counter() - begun

    def close() -> None:
        watches.close()
        inotify.close()

    return _Watched(watches.count, seconds, close)


def _by_path(rootfs: Rootfs, baseline: Baseline) -> _Watched:
    inotify = INotify(nonblocking=True)
    tree = os.fsdecode(rootfs.path)
    paths = [tree, *(os.path.join(tree, os.fsdecode(path)) for path in baseline.paths() if path)]
    begun = time.perf_counter()
    for path in paths:
        inotify.add_watch(path, _MASK)
    return _Watched(len(paths), time.perf_counter() - begun, inotify.close)


def _by_mark(rootfs: Rootfs, baseline: Baseline) -> _Watched:
    begun = time.perf_counter()
    mark = FilesystemMark(rootfs, baseline)
    return _Watched(1, time.perf_counter() - begun, mark.close)


_METHODS: Mapping[str, Callable[[Rootfs, Baseline], _Watched]] = {
    "list": _by_list,
    "path": _by_path,
    "mark": _by_mark,
}


def _bytes(rows: Sequence[Row]) -> float | None:
    """Kernel memory of a watch where there are most: what others' memory does shows least there."""
    lists = [row for row in rows if row["method"] == "list" and int(row["watches"] or 0) > 10_000]
    most = max((int(row["watches"] or 0) for row in lists), default=0)
    found = [float(row["kernel_bytes_per_directory"] or 0) for row in lists if row["watches"] == most]
    return median(found) if found else None


def _arming(rows: Sequence[Row]) -> float | None:
    found = [float(row["seconds"] or 0) for row in rows if row["method"] == "list" and row["directories"] == _MANY]
    return median(found) if found else None


EXPERIMENT = Experiment(
    name="watches",
    asks="What does it cost to watch a tree, in time and memory, up to the number of watches that is allowed?",
    method=(
        "A tree of directories is made and recorded, then every directory is watched: by the builder's own arming, "
        "from the recorded list on two threads (method list), by a loop of inotify_add_watch(2) over paths (path), or "
        "by one fanotify mark on the file system (mark; root only). Kernel memory is what SUnreclaim of /proc/meminfo "
        "grows by, of the whole machine; the inodes that watches keep in memory are there already and not counted. "
        "An eighth of the user's limit is left to others, and what they hold."
    ),
    columns=(
        Column("directories", "", "directories in the tree, its root not counted"),
        Column("shape", "", "wide: a hundred directories in each; deep: chains of 200; flat: all in one"),
        Column("method", "", "list, path or mark, see the method"),
        Column("watches", "", "watches or marks that were set"),
        Column("seconds", "s", "time to set them"),
        Column("us_per_directory", "µs", "the same by directory of the tree"),
        Column("close_seconds", "s", "time until they are gone again"),
        Column("kernel_bytes_per_directory", "B", "kernel memory"),
        Column("own_bytes_per_directory", "B", "memory of the process"),
        Column(
            "inode_bytes", "B", "an inode of this file system in memory, which each watch keeps there (slabinfo(5))"
        ),
    ),
    figures=(
        Figure(
            "Time to watch a tree that is wide",
            "line",
            "directories",
            "seconds",
            "method",
            log_x=True,
            log_y=True,
            only=("shape", "wide"),
        ),
        Figure(
            "Time by directory, from a list",
            "line",
            "directories",
            "us_per_directory",
            "shape",
            log_x=True,
            only=("method", "list"),
        ),
        Figure("Kernel memory by directory", "line", "directories", "kernel_bytes_per_directory", "method", log_x=True),
    ),
    points=_points,
    more=_more,
    measure=_measure,
    repeat=3,
    takes=lambda point: int(point["directories"] or 0) * 4_096,
    claims=(
        Claim(
            "a watch costs about 111 bytes of kernel memory, beside the inode that it keeps there",
            "our own earlier measurement, Linux 6.18: a mark of 80 and a connector of 24 bytes, and what slabs waste",
            95,
            130,
            "B",
            _bytes,
        ),
        Claim(
            "watching 100,000 directories takes 0.24 to 0.32 s",
            "our own earlier measurement in C on two threads and one, Linux 6.18, ext4",
            0.2,
            0.36,
            "s",
            _arming,
        ),
    ),
)
