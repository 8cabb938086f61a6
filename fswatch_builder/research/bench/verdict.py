"""The answer in one sentence: is watching worth it here?"""

from enum import Enum

from msgspec import Struct

from fswatch_builder.research.bench.summary import BuilderSummary, Contest, Summary
from fswatch_builder.research.peers.ours import OURS


class Outcome(Enum):
    """Who won. EQUAL: for all that was measured, nobody."""

    WATCHING = "watching"
    SCANNING = "scanning"
    EQUAL = "equal"


class Verdict(Struct, frozen=True):
    """``saves_s`` is what watching saves a RUN, negative if it costs; ``of_s`` is what scanning costs.

    ``use`` is the strategy to use.
    """

    outcome: Outcome
    use: str
    saves_s: float
    of_s: float

    def __str__(self) -> str:
        match self.outcome:
            case Outcome.WATCHING:
                return f"watching saves {time_text(self.saves_s)} of {time_text(self.of_s)} a RUN here; use {self.use}"
            case Outcome.SCANNING:
                return f"watching costs {time_text(-self.saves_s)} a RUN more than scanning here; use {self.use}"
            case Outcome.EQUAL:
                return f"watching and scanning cost the same here, within what was measured; use {self.use}"


def verdict(contest: Contest) -> Verdict | None:
    """Among those that missed nothing. None if there is nothing to compare."""
    watching, scanning = contest.best(watching=True), contest.best(watching=False)
    if watching is None or scanning is None or watching.costs is None or scanning.costs is None:
        return None
    # Nothing costs less than nothing: such a figure is the command's own time that varies.
    saves = scanning.costs.median - max(0.0, watching.costs.median)
    if watching.costs.overlaps(scanning.costs) or scanning.costs.median <= 0:
        outcome, use = Outcome.EQUAL, _cheaper(watching, scanning)
    elif saves > 0:
        outcome, use = Outcome.WATCHING, watching.cell.strategy
    else:
        outcome, use = Outcome.SCANNING, scanning.cell.strategy
    return Verdict(outcome, use, saves, scanning.costs.median)


def _cheaper(one: Summary, other: Summary) -> str:
    return min((one, other), key=lambda summary: summary.costs.median if summary.costs else 0.0).cell.strategy


def of_builders(contest: Contest) -> str | None:
    """Which builder takes the least for a whole build, this one or another; None if none took part."""
    if not contest.builders:
        return None
    first, *rest = contest.builders
    ours = next((it for it in contest.builders if it.builder == OURS), None)
    against = next(iter(rest), None) if ours == first else ours
    took = f"a build takes {time_text(first.whole.median)} with {_named(first)}"
    if against is None:
        return took
    other = f"{time_text(against.whole.median)} with {_named(against)}"
    if first.whole.overlaps(against.whole):
        return f"{took} and {other}: as long, within what was measured"
    return f"{took}, the fastest, and {other}"


def _named(summary: BuilderSummary) -> str:
    counts = ((summary.missed, "missed"), (summary.spurious, "spurious"))
    wrong = ", ".join(f"{count:,} {what}" for count, what in counts if count)
    return f"{summary.builder} (changes: {wrong})" if wrong else summary.builder


def time_text(seconds: float) -> str:
    """As people say it."""
    if seconds >= 1:
        return f"{seconds:.1f} s"
    return f"{seconds * 1000:.1f} ms" if seconds < 0.01 else f"{seconds * 1000:.0f} ms"
