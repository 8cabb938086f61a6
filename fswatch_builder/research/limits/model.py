"""A model of what finding out costs, fitted to the rows of ``break-even``: scanning by entries and changes, watching by
changes, arming by directories. Where they cross is the advice; `auto` goes by the one in ``tracking/break_even.json``.
"""

from collections.abc import Sequence
from math import fsum
from statistics import median

from msgspec import Struct

from fswatch_builder.research.limits.experiment import Row
from fswatch_builder.research.machine import Machine
from fswatch_builder.tracking.break_even import Costs, Line, Plane, Watching

_WATCHING = ("fanotify", "inotify")
_PER_DIRECTORY = 10
"""Entries, in the trees that advice is for."""


class Model(Struct, frozen=True):
    """For one that watches: ``watch`` goes by changes, ``arm`` by directories, ``scan`` by entries and changes."""

    strategy: str
    scan: Plane
    watch: Line
    arm: Line

    def entries_from(self) -> float:
        """From how many entries on a watched RUN that changes next to nothing is cheaper; 0 if it always is."""
        return max(0.0, (self.watch.fixed - self.scan.fixed) / self.scan.entry)

    def entries_from_with_arming(self) -> float:
        """The same for a build of a single RUN, which has to pay for arming too; infinite if it never is."""
        spared = self.scan.entry - self.arm.each / _PER_DIRECTORY
        lost = self.watch.fixed + self.arm.fixed - self.scan.fixed
        return max(0.0, lost / spared) if spared > 0 else float("inf")

    def share_up_to(self, entries: int) -> float:
        """Up to which share of changed entries watching is cheaper, in a tree of that size: 0 to 1."""
        spared, dearer = self.scan.at(entries, 0) - self.watch.fixed, self.watch.each - self.scan.change
        if dearer <= 0:
            return 1.0 if spared > 0 else 0.0
        return min(1.0, max(0.0, spared / dearer / entries))


def line(points: Sequence[tuple[float, float]]) -> Line:
    """Through ``(count, seconds)``. ValueError with fewer than two different counts."""
    (fixed, each), error = _fit([((count,), seconds) for count, seconds in points])
    return Line(fixed, each, error)


def plane(points: Sequence[tuple[float, float, float]]) -> Plane:
    """Through ``(entries, changes, seconds)``. ValueError where they lie on a line."""
    (fixed, entry, change), error = _fit([((entries, changes), seconds) for entries, changes, seconds in points])
    return Plane(fixed, entry, change, error)


def _fit(points: Sequence[tuple[tuple[float, ...], float]]) -> tuple[list[float], float]:
    """The constant and a factor for each count, and the median relative error.

    By least squares of relative errors: a millisecond at a hundred entries says as much as a second at a million.
    """
    # fsum: what sum() rounds to is not the same in every version of Python.
    rows = [((1.0, *counts), seconds) for counts, seconds in points]
    size = len(rows[0][0]) if rows else 0
    normal = [
        [fsum(x[i] * x[j] / (y * y) for x, y in rows) for j in range(size)] + [fsum(x[i] / y for x, y in rows)]
        for i in range(size)
    ]
    found = _solved(normal)
    errors = [abs(fsum(b * value for b, value in zip(found, x, strict=True)) - y) / y for x, y in rows]
    return found, median(errors)


def _solved(equations: list[list[float]]) -> list[float]:
    """Gauss and Jordan's elimination. ValueError without a single solution."""
    size = len(equations)
    for column in range(size):
        pivot = max(range(column, size), key=lambda row: abs(equations[row][column]))
        equations[column], equations[pivot] = equations[pivot], equations[column]
        scale = max(map(abs, equations[column]))
        if size == 0 or abs(equations[column][column]) <= scale * 1e-12:
            raise ValueError("too few different points for a fit")
        for row in range(size):
            if row != column:
                factor = equations[row][column] / equations[column][column]
                equations[row] = [a - factor * b for a, b in zip(equations[row], equations[column], strict=True)]
    if size == 0:
        raise ValueError("too few different points for a fit")
    return [equations[row][size] / equations[row][row] for row in range(size)]


def models(rows: Sequence[Row]) -> list[Model]:
    """For each strategy that watches, against the scan that is as exact. Empty where rows are too few."""
    try:
        scan = plane([(entries, changes, after) for entries, changes, after in _of(rows, "scan", "changes", "seconds")])
    except ValueError:
        return []
    found = []
    for strategy in _WATCHING:
        try:
            watch = line([(changes, after) for _, changes, after in _of(rows, strategy, "changes", "seconds")])
            arm = line([(count, seconds) for _, count, seconds in _of(rows, strategy, "directories", "arm_seconds")])
        except ValueError:
            continue
        found.append(Model(strategy, scan, watch, arm))
    return found


def costs(rows: Sequence[Row], machine: Machine, taken: str) -> Costs:
    """What `auto` goes by. ValueError where rows are too few."""
    found = models(rows)
    if not found:
        raise ValueError("too few rows for a model")
    return Costs(
        machine=f"{machine.processor}, {machine.cores} processors, Linux {machine.kernel}, {machine.file_system}",
        taken=taken,
        scan=found[0].scan,
        watching={model.strategy: Watching(model.arm, model.watch) for model in found},
    )


def _of(rows: Sequence[Row], strategy: str, by: str, what: str) -> list[tuple[float, float, float]]:
    return [
        (float(row["entries"] or 0), float(row[by] or 0), float(row[what] or 0))
        for row in rows
        if row["strategy"] == strategy
    ]


def advice(model: Model) -> str:
    """In one sentence."""
    entries, first, at = model.entries_from(), model.entries_from_with_arming(), 100_000
    size = "in a tree of any size" if entries <= 1 else f"from {entries:,.0f} entries on"
    return (
        f"{model.strategy} beats scanning {size}, from {first:,.0f} on where arming is for one RUN alone; at {at:,} "
        f"entries as long as less than {model.share_up_to(at):.0%} of them change (off by {model.watch.error:.0%} for "
        f"watching, {model.scan.error:.0%} for scanning, {model.arm.error:.0%} for arming)"
    )
