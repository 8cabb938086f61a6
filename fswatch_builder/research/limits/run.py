"""Does experiments: point by point, each repetition in an order drawn anew, each row kept as soon as it is known."""

import os
import random
import tempfile
from collections.abc import Iterator, Sequence

from msgspec import Struct

from fswatch_builder._native import remove_tree
from fswatch_builder.research.limits.claims import Finding, findings
from fswatch_builder.research.limits.experiment import Column, Experiment, Figure, Laboratory, Point, Row, Scalar
from fswatch_builder.research.machine import Background, Machine

SCHEMA = 1

REPETITION = Column("repetition", "", "which time this point was measured, from 0")
LOAD = Column("load", "", "share of the processors that other programs kept busy meanwhile")


class Settings(Struct, frozen=True):
    """What makes two runs of an experiment the same."""

    schema: int
    experiment: str
    points: tuple[dict[str, Scalar], ...]
    repeat: int
    seed: int
    machine: Machine


class Measured(Struct, frozen=True):
    """All rows of one point, measured once."""

    point: int
    repetition: int
    rows: tuple[dict[str, Scalar], ...]


class Report(Struct, frozen=True):
    """One experiment, done: everything that is needed to read, redo and draw it. ``columns`` is its data dictionary.

    ``needs_root`` and ``changes_host`` are empty where anybody can do it, and nothing of the machine was set.
    """

    settings: Settings
    taken: str
    command: str
    asks: str
    method: str
    columns: tuple[Column, ...]
    figures: tuple[Figure, ...]
    rows: tuple[dict[str, Scalar], ...]
    needs_root: str = ""
    changes_host: str = ""
    findings: tuple[Finding, ...] = ()


def settings(experiment: Experiment, points: Sequence[Point], repeat: int, seed: int, machine: Machine) -> Settings:
    """Of a run."""
    return Settings(SCHEMA, experiment.name, tuple(dict(point) for point in points), repeat, seed, machine)


def measured(
    experiment: Experiment, plan: Settings, directory: str, done: Sequence[Measured] = ()
) -> Iterator[Measured]:
    """Each point as it is measured, those that are ``done`` left out. ``directory`` takes what is made meanwhile."""
    known = {(it.point, it.repetition) for it in done}
    for repetition in range(plan.repeat):
        # Of its own, so that a run that goes on draws the same.
        order = random.Random(f"{plan.seed}/{repetition}").sample(range(len(plan.points)), len(plan.points))
        for point in order:
            if (point, repetition) in known:
                continue
            place = tempfile.mkdtemp(dir=directory, prefix="fswatch-limits-")
            try:
                background = Background()
                laboratory = Laboratory(place, plan.machine, plan.seed + repetition)
                rows = list(experiment.measure(laboratory, plan.points[point]))
                load = background()
            finally:
                remove_tree(os.fsencode(place))
            yield Measured(
                point, repetition, tuple(_completed(experiment.check(row), repetition, load) for row in rows)
            )


def report(experiment: Experiment, plan: Settings, done: Sequence[Measured], *, taken: str, command: str) -> Report:
    """Of a run that is complete."""
    rows = tuple(row for it in sorted(done, key=lambda it: (it.point, it.repetition)) for row in it.rows)
    return Report(
        settings=plan,
        taken=taken,
        command=command,
        asks=experiment.asks,
        method=experiment.method,
        columns=(*experiment.columns, REPETITION, LOAD),
        figures=experiment.figures,
        rows=rows,
        needs_root=experiment.needs_root,
        changes_host=experiment.changes_host,
        findings=findings(experiment.claims, rows),
    )


def _completed(row: Row, repetition: int, load: float) -> Row:
    return {**row, REPETITION.name: repetition, LOAD.name: round(load, 3)}
