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
    """A row for each point, and for each row where a point has several: those that agree in all that is no number.

    Points come as they were planned; what was done in a drawn order within one is sorted.
    """
    point = tuple(report.settings.points[0]) if report.settings.points else ()
    shown = columns(report)
    groups: defaultdict[tuple[Scalar, ...], defaultdict[tuple[tuple[str, Scalar], ...], list[Row]]]
    groups = defaultdict(lambda: defaultdict(list))
    for row in report.rows:
        apart = [
            it.name for it in shown if it.name not in point and (it.middle == "none" or not _is_number(row[it.name]))
        ]
        groups[tuple(row[name] for name in point)][tuple((name, row[name]) for name in apart)].append(row)
    for of_point in groups.values():
        for key in sorted(of_point, key=_in_order):
            rows, names = of_point[key], {*point, *(name for name, _ in key)}
            yield {it.name: rows[0][it.name] if it.name in names else _middle(it, rows) for it in shown}


def _middle(column: Column, rows: list[Row]) -> Scalar:
    values = [row[column.name] for row in rows]
    numbers = [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if not numbers:
        return values[0]
    found = _MIDDLES[column.middle](numbers)
    return int(found) if found == int(found) else found


def _in_order(key: tuple[tuple[str, Scalar], ...]) -> list[tuple[str, bool, Scalar]]:
    """What is not there comes with the numbers, names after them."""
    return [(name, isinstance(value, str), False if value is None else value) for name, value in key]


def _is_number(value: Scalar) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
