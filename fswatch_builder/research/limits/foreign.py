"""What others' work on the same file system costs a watcher, and the watcher them."""

import os
import resource
import time
from collections.abc import Iterator, Sequence

from fswatch_builder._native import Baseline, FilesystemMark, Rootfs
from fswatch_builder.research.limits.experiment import Column, Experiment, Figure, Laboratory, Point, Row, grid, no_more
from fswatch_builder.research.limits.queue import child
from fswatch_builder.research.machine import Machine

_WRITER = """
import os, sys
os.chdir(sys.argv[1])
for number in range(int(sys.argv[2])):
    os.close(os.open("%07d" % number, os.O_CREAT | os.O_WRONLY, 0o600))
"""


def _points(machine: Machine) -> Sequence[Point]:
    del machine
    return grid(files=(0, 10_000, 100_000), mark=(True, False))


def _measure(laboratory: Laboratory, point: Point) -> Iterator[Row]:
    tree, outside = (os.path.join(laboratory.directory, name) for name in ("tree", "outside"))
    os.mkdir(tree)
    os.mkdir(outside)
    rootfs = Rootfs(os.fsencode(tree))
    baseline, _ = Baseline.record(rootfs)
    cpu = _cpu()
    mark = FilesystemMark(rootfs, baseline) if point["mark"] else None
    begun = time.perf_counter()
    with child(_WRITER, outside, str(point["files"])) as writer:
        writer.wait()
    written = time.perf_counter()
    hints = 0
    events = 0
    if mark is not None:
        hints = len(mark.settle(baseline).hints)
        events = mark.events
    settled = time.perf_counter()
    if mark is not None:
        mark.close()
    yield {
        **point,
        "writer_seconds": written - begun,
        "settle_ms": (settled - written) * 1000,
        "reader_cpu_ms": (_cpu() - cpu) * 1000,
        "events": events,
        "hints": hints,
    }


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


EXPERIMENT = Experiment(
    name="foreign",
    asks="What does a mark on the whole file system cost when others work there, outside the tree that is watched?",
    method=(
        "A process creates files beside a watched tree, with a fanotify mark on their file system and without. "
        "Every event comes to the reader, which has to find that it is none of its business; none may become a "
        "hint."
    ),
    columns=(
        Column("files", "", "files created outside the tree"),
        Column("mark", "", "whether the file system is marked"),
        Column("writer_seconds", "s", "time of the writer, its start included"),
        Column("settle_ms", "ms", "time to settle afterwards"),
        Column("reader_cpu_ms", "ms", "processor time of the watching process"),
        Column("events", "", "events read"),
        Column("hints", "", "hints that came of them"),
    ),
    figures=(Figure("Processor time for others' events", "line", "files", "reader_cpu_ms", "mark"),),
    points=_points,
    more=no_more,
    measure=_measure,
    needs_root="fanotify_mark(2) on a file system needs CAP_SYS_ADMIN",
)
