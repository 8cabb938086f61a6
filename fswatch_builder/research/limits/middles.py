"""What several measurements of a point say together."""

from collections import defaultdict
from collections.abc import Iterator
from statistics import mean, median

from fswatch_builder.research.limits.experiment import Column, Row, Scalar
from fswatch_builder.research.limits.run import LOAD, REPETITION, Report

_MIDDLES = {"median": median, "mean": mean}


def columns(report: Report) -> list[Column]:
    """Those of the experiment itself."""
    return [column for column in report.columns if column not in (REPETITION, LOAD)]


def middles(report: Report) -> Iterator[Row]:
    """A row for each point, and for each row where a point has several: those that agree in all that is no number."""
    varied = set(report.settings.points[0]) if report.settings.points else set()
    shown = columns(report)
    groups: defaultdict[tuple[Scalar, ...], list[Row]] = defaultdict(list)
    for row in report.rows:
        known = (it.name for it in shown if it.name in varied or not _is_number(row[it.name]))
        groups[tuple(row[name] for name in known)].append(row)
    for rows in groups.values():
        yield {it.name: rows[0][it.name] if it.name in varied else _middle(it, rows) for it in shown}


def _middle(column: Column, rows: list[Row]) -> Scalar:
    values = [row[column.name] for row in rows]
    numbers = [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if not numbers:
        return values[0]
    found = _MIDDLES[column.middle](numbers)
    return int(found) if found == int(found) else found


def _is_number(value: Scalar) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
