"""What ``bench`` prints: how it gets on, and what came out."""

import sys
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from fswatch_builder.cli.printable import printable_name
from fswatch_builder.research.bench.summary import failures
from fswatch_builder.research.corpora.debian import KIND, VARIANT
from fswatch_builder.research.corpora.registry import recipes
from fswatch_builder.research.estimates import Estimate
from fswatch_builder.research.machine import NOISY
from fswatch_builder.research.strategies import strategies
from fswatch_builder.research.workloads.registry import workloads

if TYPE_CHECKING:
    from fswatch_builder.research.bench.document import Document, Judged
    from fswatch_builder.research.bench.rows import Plan
    from fswatch_builder.research.bench.summary import BuilderSummary, Contest, Summary
    from fswatch_builder.research.machine import Machine

_COLUMNS = (
    "strategy",
    "a RUN costs",
    "slows by",
    "finds out in",
    "arms in",
    "packs in",
    "processor",
    "memory",
    "missed",
    "spurious",
)
_BUILDER_COLUMNS = (
    "builder",
    "whole build",
    "a RUN takes",
    "a RUN costs",
    "processor",
    "memory",
    "listed",
    "missed",
    "spurious",
)
_FIVE_MINUTES = 300


class Shown:
    """On standard error: a line that changes on a terminal, else a line now and then."""

    def __init__(self) -> None:
        """Nothing is shown yet."""
        self._live = sys.stderr.isatty()
        self._told = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def say(self, text: str) -> None:
        """A line that stays; the next thing that is worth a line gets one again."""
        self._told = False
        clear = "\r\x1b[K" if self._live else ""
        print(f"{clear}{text}", file=sys.stderr, flush=True)

    def show(self, text: str, *, worth_a_line: bool) -> None:
        """A line that changes. Where that cannot be, one of those that are worth it is said."""
        if self._live:
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
        elif worth_a_line and not self._told:
            self.say(text)
            self._told = True


class Progress(Shown):
    """Of trials."""

    def __init__(self, plan: "Plan", done: int) -> None:
        """``done`` rows are there already."""
        super().__init__()
        self._corpora = plan.corpora
        if done:
            self.say(f"{done:,} of {plan.trials:,} trials are there already")

    def begins(self, corpus: str) -> None:
        """A tree is being made."""
        many = len(self._corpora)
        number = f" ({self._corpora.index(corpus) + 1} of {many})" if many > 1 else ""
        self.say(f"{printable_name(corpus)}: making the tree{number}")

    def prepares(self, corpus: str, what: str) -> None:
        """Something else may take a while."""
        self.say(f"{printable_name(corpus)}: {what}")

    def left_out(self, strategy: str, reason: str) -> None:
        """A strategy does not work here."""
        self.say(f"{strategy} is left out: {reason}")

    def is_at(self, corpus: str, done: int, of: int, seconds_left: float | None) -> None:
        """Trials are done."""
        left = "" if seconds_left is None else f", about {minutes(seconds_left)} left for this tree"
        text = f"{printable_name(corpus)}: {done:,} of {of:,} trials{left}"
        self.show(text, worth_a_line=seconds_left is not None)

    def has_no_time(self, corpus: str, repetitions: int) -> None:
        """Time is up."""
        when = f"after {repetitions} of each" if repetitions else "before each had its turn"
        self.say(f"{printable_name(corpus)}: the time is up {when}")


def minutes(seconds: float) -> str:
    """As people say it."""
    return f"{seconds:.0f} s" if seconds < _FIVE_MINUTES else f"{seconds / 60:.0f} minutes"


def lines(document: "Document") -> Iterator[str]:
    """The tables, each with its sentence."""
    yield from machine_line(document.plan.machine, document.noise, f"{document.plan.cache} cache")
    for absent in document.plan.absent:
        yield f"{absent.name} is absent: {absent.reason}"
    entries = {tree.name: tree.entries for tree in document.trees}
    for judged in document.results:
        yield ""
        yield from _table(judged, entries.get(judged.contest.corpus), document.plan)


def machine_line(machine: "Machine", noise: float, more: str) -> Iterator[str]:
    """What it was measured on, and whether others were at work."""
    yield f"{machine.processor}, {machine.cores} processors, Linux {machine.kernel}, {machine.file_system}, {more}"
    if noise > NOISY:
        yield f"noisy: other programs kept {noise:.0%} of the processors busy; take the figures with care"


def _table(judged: "Judged", entries: int | None, plan: "Plan") -> Iterator[str]:
    contest = judged.contest
    trials = max(summary.trials for summary in contest.summaries)
    size = "" if entries is None else f", {entries:,} entries"
    each = f"{trials:,} trials" if trials > 1 else "one trial, so nothing is known of chance"
    yield f"{printable_name(contest.corpus)}{size}: {contest.workload}, {plan.cache} cache, {each}"
    yield from (f"  {line}" for line in aligned([_COLUMNS, *map(_cells, contest.summaries)]))
    if contest.builders:
        yield "  and as the last RUN of a Dockerfile, on an image of that tree:"
        yield from (f"  {line}" for line in aligned([_BUILDER_COLUMNS, *map(_builder, contest.builders)]))
    if rest := _without_a_turn(contest, plan):
        yield f"  not measured: {', '.join(rest)}"
    for names, problem in failures(contest):
        yield f"  {', '.join(names)}: {printable_name(' '.join(problem.split()))}"
    for summary in contest.summaries:
        if summary.losses:
            yield f"  {summary.cell.strategy} looked at whole parts of the tree: {', '.join(summary.losses)}"
    if judged.sentence is not None:
        yield f"  {judged.sentence}"
    if judged.of_builders is not None:
        yield f"  {judged.of_builders}"


def _without_a_turn(contest: "Contest", plan: "Plan") -> list[str]:
    """Left out, or not reached in time: which of them was said when it came up."""
    measured = [*(it.cell.strategy for it in contest.summaries), *(it.builder for it in contest.builders)]
    known = {*measured, *(it.cell.strategy for it in contest.failures)}
    return [name for name in plan.names if name not in known]


def _builder(summary: "BuilderSummary") -> tuple[str, ...]:
    return (
        summary.builder,
        time_text(summary.whole),
        time_text(summary.run),
        time_text(summary.costs),
        time_text(summary.cpu),
        "" if summary.peak_rss is None else f"{summary.peak_rss / (1 << 20):.0f} MiB",
        f"{summary.listed:,}",
        f"{summary.missed:,}" if summary.missed else "-",
        f"{summary.spurious:,}" if summary.spurious else "-",
    )


def _cells(summary: "Summary") -> tuple[str, ...]:
    if summary.costs is None:
        return (summary.cell.strategy, f"(runs {time_text(summary.command)})", *[""] * 6, "", "")
    return (
        summary.cell.strategy,
        time_text(summary.costs),
        f"{summary.slowdown.median:.2f} x",
        time_text(summary.after),
        time_text(summary.arm),
        time_text(summary.pack),
        time_text(summary.own_cpu),
        f"{summary.peak_rss / (1 << 20):.0f} MiB",
        f"{summary.missed:,}" if summary.missed else "-",
        f"{summary.spurious:,}" if summary.spurious else "-",
    )


def time_text(estimate: Estimate | None) -> str:
    """The median, and how far off it may be: of one measurement nobody knows."""
    if estimate is None:
        return ""
    if estimate.count == 1:
        return f"{estimate.median:.2f} s" if abs(estimate.median) >= 1 else f"{estimate.median * 1000:.2f} ms"
    half = (estimate.high - estimate.low) / 2
    if max(abs(estimate.median), half) >= 1:
        return f"{estimate.median:.2f} s ±{half:.2f}"
    return f"{estimate.median * 1000:.2f} ms ±{half * 1000:.2f}"


def aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """A table's lines: the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        first, *rest = (
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join((first, *rest)).rstrip()


def listing() -> str:
    """Everything that can be asked for by name."""
    parts = (
        (
            f"Corpora (a kind and a number of files, such as wide-10k; {KIND} is one tree)",
            {**{it.kind: it.means for it in recipes().values()}, KIND: f"Debian's {VARIANT}, made by mmdebstrap"},
        ),
        ("Workloads", {it.name: it.means for it in workloads().values()}),
        ("Strategies", {it.name: it.means for it in strategies().values()}),
    )
    return "\n\n".join(
        "\n".join((f"{title}:", *(f"  {name:<15}{means}" for name, means in names.items()))) for title, names in parts
    )
