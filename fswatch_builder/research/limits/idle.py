"""Processor time of a watcher, by how much it watches and how much happens."""

import os
import resource
import time
from collections.abc import Iterator, Sequence

from inotify_simple import INotify  # type: ignore[import-untyped]

from fswatch_builder._native import Baseline, Rootfs, Watches
from fswatch_builder.research.limits.experiment import Column, Experiment, Figure, Laboratory, Point, Row, grid
from fswatch_builder.research.limits.queue import child
from fswatch_builder.research.limits.trees import directories
from fswatch_builder.research.machine import Machine
from fswatch_builder.tracking.limits import watch_budget

_SECONDS = 2.0
_WRITER = """
import os, sys, time
directory, rate, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
until = time.monotonic() + seconds
number = 0
while time.monotonic() < until:
    for _ in range(rate // 100):
        path = directory + "/" + str(number % 1000)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        os.unlink(path)
        number += 1
    time.sleep(0.01)
"""


def _points(machine: Machine) -> Sequence[Point]:
    counts = [count for count in (1, 10_000) if count <= watch_budget(machine.watches)]
    return grid(directories=counts, files_per_second=(0, 1_000, 10_000))


def _more(machine: Machine) -> Sequence[Point]:
    counts = [count for count in (100_000, 400_000) if count <= watch_budget(machine.watches)]
    return grid(directories=counts, files_per_second=(0, 1_000, 10_000))


def _measure(laboratory: Laboratory, point: Point) -> Iterator[Row]:
    tree, rate = os.path.join(laboratory.directory, "tree"), int(point["files_per_second"] or 0)
    os.mkdir(tree)
    directories(tree, int(point["directories"] or 0), "wide")
    rootfs = Rootfs(os.fsencode(tree))
    baseline, _ = Baseline.record(rootfs, digests=False)
    with INotify(nonblocking=True) as inotify:
        watches = Watches(inotify.fileno())
        try:
            watches.arm(rootfs, baseline)
            before, begun = _cpu(), time.perf_counter()
            if rate:
                with child(_WRITER, tree, str(rate), str(_SECONDS)) as writer:
                    writer.wait()
            else:
                # Doing nothing for a while is what is measured.
                time.sleep(_SECONDS)
            used, seconds = _cpu() - before, time.perf_counter() - begun
            events = watches.events
        finally:
            watches.close()
    yield {
        **point,
        "seconds": seconds,
        "cpu_share": used / seconds,
        "events": events,
        "cpu_us_per_event": used / events * 1e6 if events else None,
    }


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


EXPERIMENT = Experiment(
    name="idle",
    asks="What does watching cost a processor while little or nothing happens?",
    method=(
        "A tree of directories is watched for two seconds, while nobody or one process creates and removes files at"
        " a rate. Processor time is that of the watching process, its reader thread's."
    ),
    columns=(
        Column("directories", "", "directories that are watched"),
        Column("files_per_second", "1/s", "files made and removed, about"),
        Column("seconds", "s", "how long"),
        Column("cpu_share", "", "processor time to time that passed"),
        Column("events", "", "events read"),
        Column("cpu_us_per_event", "µs", "processor time by event; none without events"),
    ),
    figures=(
        Figure("Processor time of the watcher", "line", "directories", "cpu_share", "files_per_second", log_x=True),
    ),
    points=_points,
    more=_more,
    measure=_measure,
    repeat=3,
    takes=lambda point: int(point["directories"] or 0) * 4_096,
)
