"""When a file changes twice and its times do not."""

import os
import time
from collections.abc import Iterator, Sequence

from fswatch_builder._native import is_multigrain
from fswatch_builder.research.limits.experiment import Column, Experiment, Figure, Laboratory, Point, Row, grid, no_more
from fswatch_builder.research.machine import Machine

_CHANGES = 2_000


def _points(machine: Machine) -> Sequence[Point]:
    del machine
    return grid(looked_at=(True, False))


def _measure(laboratory: Laboratory, point: Point) -> Iterator[Row]:
    path = os.path.join(laboratory.directory, "file")
    file = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    times, behind = [], []
    try:
        begun = time.perf_counter()
        for _ in range(_CHANGES):
            os.write(file, b"x")
            now = time.time_ns()
            if point["looked_at"]:
                ctime = os.fstat(file).st_ctime_ns
                times.append(ctime)
                behind.append(now - ctime)
        seconds = time.perf_counter() - begun
        if not point["looked_at"]:
            times, behind = _unlooked(laboratory.directory)
    finally:
        os.close(file)
        os.unlink(path)
    distinct = len(set(times))
    yield {
        **point,
        "multigrain": is_multigrain(os.fsencode(laboratory.directory)),
        "changes": len(times),
        "distinct_times": distinct,
        "same_share": 1 - distinct / len(times),
        "behind_max_us": max(behind) / 1000,
        "us_per_change": seconds / _CHANGES * 1e6,
    }


def _unlooked(directory: str) -> tuple[list[int], list[int]]:
    """Files made one after the other, looked at when all are there."""
    names, made = [f"{directory}/{number}" for number in range(_CHANGES)], []
    for name in names:
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o600))
        made.append(time.time_ns())
    times = [os.stat(name).st_ctime_ns for name in names]
    for name in names:
        os.unlink(name)
    return times, [now - ctime for now, ctime in zip(made, times, strict=True)]


EXPERIMENT = Experiment(
    name="clock",
    asks="For how long after a change can another one keep the same time?",
    method=(
        "One file is written 2,000 times with a stat after each write (looked_at), or 2,000 files are made and "
        "looked at afterwards. Where a stat makes the next change take a new time (multigrain timestamps, Linux "
        "6.13), no two writes share one; else all changes of one tick of the kernel's clock do, and a file that was"
        " recorded within it cannot be trusted by its times."
    ),
    columns=(
        Column("looked_at", "", "whether a stat comes between two changes"),
        Column("multigrain", "", "whether the file system gives a change after a stat a new time"),
        Column("changes", "", "what was changed"),
        Column("distinct_times", "", "different change times among them"),
        Column("same_share", "", "changes that share their time with another"),
        Column("behind_max_us", "µs", "how far a change time lies behind the clock at most: the width of the window"),
        Column("us_per_change", "µs", "how fast changes came"),
    ),
    figures=(Figure("Changes that keep their time", "bar", "looked_at", "same_share", "multigrain"),),
    points=_points,
    more=no_more,
    measure=_measure,
)
