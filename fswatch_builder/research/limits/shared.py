"""What others have left of the limit."""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence

import psutil  # type: ignore[import-untyped]

from fswatch_builder.research.limits.experiment import Column, Experiment, Figure, Laboratory, Point, Row, no_more
from fswatch_builder.research.machine import Machine
from fswatch_builder.tracking.limits import read_limits, watch_budget, watches_held

_NEEDED = 1_000_000


def _points(machine: Machine) -> Sequence[Point]:
    del machine
    return ({},)


def _measure(laboratory: Laboratory, point: Point) -> Iterator[Row]:
    del laboratory, point
    held: defaultdict[str, list[int]] = defaultdict(list)
    for process in psutil.process_iter():
        try:
            if process.uids().effective == os.geteuid() and (count := watches_held(process.pid)):
                held[process.name()].append(count)
        except psutil.Error:
            continue  # It ended, or is not ours to look at.
    limits = read_limits()
    for program, counts in {**held, "left to a build": [watch_budget(_NEEDED)]}.items():
        yield {"program": program, "processes": len(counts), "watches": sum(counts), "limit": limits.watches}


EXPERIMENT = Experiment(
    name="shared",
    asks="How many watches are left where editors and other programs hold some?",
    method=(
        "The watches of all processes of this user are counted (proc_pid_fdinfo(5)), by name of the program; the "
        "last row is what a build that needs a million would take. Nothing is changed and nothing is watched."
    ),
    columns=(
        Column("program", "", "name of the program"),
        Column("processes", "", "processes of it that hold watches"),
        Column("watches", "", "watches they hold"),
        Column("limit", "", "what this user may have in all: fs.inotify.max_user_watches"),
    ),
    figures=(Figure("Watches held", "bar", "program", "watches", "limit"),),
    points=_points,
    more=no_more,
    measure=_measure,
    repeat=1,
)
