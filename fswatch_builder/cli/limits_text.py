"""What ``limits`` prints: how it gets on, and medians of what was measured."""

import sys
import textwrap
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from fswatch_builder.cli.bench_text import aligned
from fswatch_builder.cli.printable import printable_name
from fswatch_builder.research.limits.middles import columns, middles
from fswatch_builder.research.limits.model import advice, models
from fswatch_builder.research.limits.registry import experiments
from fswatch_builder.research.limits.run import LOAD
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
    shown = columns(report)
    header = tuple(f"{column.name} [{column.unit}]" if column.unit else column.name for column in shown)
    rows = [tuple(_text(row[column.name]) for column in shown) for row in middles(report)]
    yield from (f"  {line}".rstrip() for line in aligned([header, *rows]))
    yield from (f"  {finding}" for finding in report.findings)
    for model in models(report.rows) if report.settings.experiment == "break-even" else ():
        yield f"  {advice(model)}"


def _text(value: "Scalar") -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
        case _:
            return printable_name(value)


def listing() -> str:
    """All experiments."""
    parts = []
    for experiment in experiments().values():
        who = [f"root: {experiment.needs_root}"] if experiment.needs_root else []
        who += ["with --change-host only"] if experiment.changes_host else []
        said = f"{experiment.asks} ({'; '.join(who)})" if who else experiment.asks
        asks = textwrap.wrap(said, _WIDTH - 14)
        parts.append(
            "\n".join(f"{experiment.name if not number else '':<14}{line}" for number, line in enumerate(asks))
        )
    return "\n".join(parts)
