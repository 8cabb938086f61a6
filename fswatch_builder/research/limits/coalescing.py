"""Which events the kernel makes one of."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence

from fswatch_builder.research.limits.experiment import Column, Experiment, Figure, Laboratory, Point, Row, grid, no_more
from fswatch_builder.research.limits.queue import Queue
from fswatch_builder.research.machine import Machine

_MODIFY_AND_ATTRIB = 0x2 | 0x4
_OPERATIONS = 1_000


def _one_file(files: Sequence[int], number: int) -> None:
    del number
    os.write(files[0], b"x")


def _two_files(files: Sequence[int], number: int) -> None:
    os.write(files[number % 2], b"x")


def _two_kinds(files: Sequence[int], number: int) -> None:
    if number % 2:
        os.fchmod(files[0], 0o600 | (number % 4 == 1))
    else:
        os.write(files[0], b"x")


def _runs_of_ten(files: Sequence[int], number: int) -> None:
    os.write(files[number // 10 % 2], b"x")


_PATTERNS: Mapping[str, Callable[[Sequence[int], int], None]] = {
    "one file": _one_file,
    "two files in turns": _two_files,
    "write and chmod in turns": _two_kinds,
    "ten writes to each of two": _runs_of_ten,
}


def _points(machine: Machine) -> Sequence[Point]:
    del machine
    return grid(pattern=tuple(_PATTERNS), drain_every=(1, 10, _OPERATIONS))


def _measure(laboratory: Laboratory, point: Point) -> Iterator[Row]:
    every, act = int(point["drain_every"] or 1), _PATTERNS[str(point["pattern"])]
    paths = [os.path.join(laboratory.directory, name) for name in "ab"]
    files = [os.open(path, os.O_CREAT | os.O_WRONLY, 0o600) for path in paths]
    try:
        with Queue([laboratory.directory], _MODIFY_AND_ATTRIB) as queue:
            for number in range(_OPERATIONS):
                act(files, number)
                if number % every == every - 1:
                    queue.drain()
            queue.drain()
            events = len(list(queue.events()))
    finally:
        for file, path in zip(files, paths, strict=True):
            os.close(file)
            os.unlink(path)
    yield {**point, "operations": _OPERATIONS, "events": events, "merged_share": 1 - events / _OPERATIONS}


EXPERIMENT = Experiment(
    name="coalescing",
    asks="How many events are spared because the kernel merges equal ones?",
    method=(
        "A thousand operations on one or two open files, and the queue drained after so many of them. inotify(7): "
        "an event that equals the last one that is not read yet is dropped."
    ),
    columns=(
        Column("pattern", "", "what is done to which file"),
        Column("drain_every", "", "operations between two drains"),
        Column("operations", "", "what was done"),
        Column("events", "", "what was told"),
        Column("merged_share", "", "operations without an event of their own"),
    ),
    figures=(Figure("Events merged", "line", "drain_every", "merged_share", "pattern", log_x=True),),
    points=_points,
    more=no_more,
    measure=_measure,
    repeat=1,
)
