"""A model of what finding out costs, fitted to the rows of ``break-even``: what scanning costs by entries, and watching
by changes. Where the lines cross is the advice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from fswatch_builder.research.limits.experiment import Row


@dataclass(frozen=True, slots=True)
class Line:
    """``seconds = fixed + each * count``. ``error`` is the median of what it is off by, as a share of the measured."""

    fixed: float
    each: float
    error: float

    def at(self, count: float) -> float:
        """Seconds for ``count``."""
        return self.fixed + self.each * count


@dataclass(frozen=True, slots=True)
class Model:
    """``scan`` goes by entries, ``watch`` by changes, for one strategy that watches."""

    strategy: str
    scan: Line
    watch: Line

    def entries_from(self) -> float:
        """From how many entries on watching is cheaper where a RUN changes next to nothing; 0 if it always is."""
        return max(0.0, (self.watch.fixed - self.scan.fixed) / self.scan.each)

    def share_up_to(self, entries: int) -> float:
        """Up to which share of changed entries watching is cheaper, in a tree of that size: 0 to 1."""
        return min(1.0, max(0.0, (self.scan.at(entries) - self.watch.fixed) / self.watch.each / entries))


def fit(points: Sequence[tuple[float, float]]) -> Line:
    """The line through ``(count, seconds)`` by least squares of relative errors: a millisecond at a hundred entries
    says as much as a second at a million. ValueError with fewer than two different counts.
    """
    weights = [1 / seconds**2 for _, seconds in points]
    total = sum(weights)
    mean_x = sum(w * x for w, (x, _) in zip(weights, points, strict=True)) / total
    mean_y = sum(w * y for w, (_, y) in zip(weights, points, strict=True)) / total
    spread = sum(w * (x - mean_x) ** 2 for w, (x, _) in zip(weights, points, strict=True))
    if spread == 0:
        raise ValueError("a line needs two points")
    each = sum(w * (x - mean_x) * (y - mean_y) for w, (x, y) in zip(weights, points, strict=True)) / spread
    fixed = mean_y - each * mean_x
    return Line(fixed, each, median(abs(fixed + each * x - y) / y for x, y in points))


def models(rows: Iterable[Row]) -> list[Model]:
    """For each strategy that watches, against the scan that is as exact. Empty where rows are too few."""
    table = list(rows)
    scan = _line(table, "scan", "entries")
    found = []
    for strategy in ("fanotify", "inotify"):
        watch = _line(table, strategy, "changes")
        if scan is not None and watch is not None and scan.each > 0 and watch.each > 0:
            found.append(Model(strategy, scan, watch))
    return found


def _line(rows: Iterable[Row], strategy: str, by: str) -> Line | None:
    points = [(float(row[by] or 0), float(row["seconds"] or 0)) for row in rows if row["strategy"] == strategy]
    points = [(count, seconds) for count, seconds in points if seconds > 0]
    return fit(points) if len({count for count, _ in points}) > 1 else None


def advice(model: Model) -> str:
    """In one sentence."""
    entries, at = model.entries_from(), 100_000
    size = "in a tree of any size" if entries <= 1 else f"from {entries:,.0f} entries on"
    return (
        f"{model.strategy} beats scanning {size}; at {at:,} entries as long as less than {model.share_up_to(at):.0%} "
        f"of them change (off by {model.watch.error:.0%} for watching, {model.scan.error:.0%} for scanning)"
    )
