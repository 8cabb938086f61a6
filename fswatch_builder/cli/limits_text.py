"""What ``limits`` prints: how it gets on, and medians of what was measured."""

import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import median
from types import TracebackType
from typing import TYPE_CHECKING

from fswatch_builder.cli.bench_text import aligned
from fswatch_builder.cli.printable import printable_name
from fswatch_builder.research.limits.model import advice, models
from fswatch_builder.research.limits.registry import experiments
from fswatch_builder.research.limits.run import LOAD, REPETITION
from fswatch_builder.research.machine import NOISY

if TYPE_CHECKING:
    from fswatch_builder.research.limits.experiment import Scalar
    from fswatch_builder.research.limits.run import Report

_WIDTH = 100


class Progress:
    """A line on standard error that changes, on a terminal only: points take seconds."""

    def __init__(self, name: str, of: int) -> None:
        self._name, self._of = name, of
        self._live = sys.stderr.isatty()
        if not self._live:
            print(f"{name}: {of} points", file=sys.stderr, flush=True)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def at(self, done: int) -> None:
        """So many are done."""
        if self._live:
            sys.stderr.write(f"\r\x1b[K{self._name}: {done} of {self._of} points")
            sys.stderr.flush()


def lines(report: "Report") -> Iterator[str]:
    """The question, and a table of medians over repetitions."""
    yield ""
    yield f"{report.settings.experiment}: {report.asks}"
    loads = [float(row[LOAD.name] or 0) for row in report.rows]
    if loads and (noise := sum(loads) / len(loads)) > NOISY:
        yield f"  noisy: other programs kept {noise:.0%} of the processors busy; take times with care"
    columns = [column for column in report.columns if column not in (REPETITION, LOAD)]
    header = tuple(f"{column.name} [{column.unit}]" if column.unit else column.name for column in columns)
    rows = _medians(report, [column.name for column in columns])
    yield from (f"  {line}" for line in aligned([header, *rows]))
    for model in models(report.rows) if report.settings.experiment == "break-even" else ():
        yield f"  {advice(model)}"


def _medians(report: "Report", names: Sequence[str]) -> list[tuple[str, ...]]:
    """A row for each point, and for each row where a point has several: those that agree in all that is no number."""
    varied = set(report.settings.points[0]) if report.settings.points else set()
    groups: defaultdict[tuple[object, ...], list[dict[str, Scalar]]] = defaultdict(list)
    for row in report.rows:
        groups[tuple(row[name] for name in names if name in varied or not _is_number(row[name]))].append(row)
    return [tuple(_text([row[name] for row in rows], name in varied) for name in names) for rows in groups.values()]


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _text(values: Sequence[object], is_point: bool) -> str:
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if not numbers or is_point:
        return _plain(values[0])
    middle = median(numbers)
    return f"{middle:,.0f}" if middle == int(middle) or abs(middle) >= 1000 else f"{middle:.4g}"


def _plain(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case _:
            return printable_name(str(value))


def listing() -> str:
    """All experiments."""
    parts = []
    for experiment in experiments().values():
        who = f" (root: {experiment.needs_root})" if experiment.needs_root else ""
        asks = textwrap.wrap(f"{experiment.asks}{who}", _WIDTH - 14)
        parts.append(
            "\n".join(f"{experiment.name if not number else '':<14}{line}" for number, line in enumerate(asks))
        )
    return "\n".join(parts)
