"""The answer in one sentence: is watching worth it for this Dockerfile?"""

from collections.abc import Sequence

from msgspec import Struct

from fswatch_builder.research.bench.verdict import Outcome, time_text
from fswatch_builder.research.builds.rows import BuildRow
from fswatch_builder.research.builds.summary import SCANNING, WATCHING, BuildContest, BuildSummary, paired
from fswatch_builder.research.estimates import Estimate, estimate


class BuildVerdict(Struct, frozen=True):
    """``saves`` is what watching saves a RUN, in seconds, less than nothing if it costs; ``of_s`` is what a RUN takes
    with scanning, the command included. ``use`` is the strategy to use.
    """

    outcome: Outcome
    use: str
    saves: Estimate
    of_s: float


def build_verdict(contest: BuildContest, rows: Sequence[BuildRow]) -> BuildVerdict | None:
    """Among those whose images are the reference's. None if there is nothing to compare."""
    watching, scanning = contest.best(WATCHING), contest.best(SCANNING)
    if watching is None or scanning is None or watching.run is None or scanning.run is None:
        return None
    differences = paired(rows, scanning.contestant.name, watching.contestant.name)
    if not differences:
        return None
    saves = estimate(differences)
    if saves.low <= 0 <= saves.high:
        outcome, use = Outcome.EQUAL, _less_to_find(watching, scanning)
    elif saves.median > 0:
        outcome, use = Outcome.WATCHING, watching
    else:
        outcome, use = Outcome.SCANNING, scanning
    return BuildVerdict(outcome, use.contestant.name, saves, scanning.run.median)


def _less_to_find(one: BuildSummary, other: BuildSummary) -> BuildSummary:
    """Where commands take as long as they take, what comes after them decides."""
    return min((one, other), key=lambda it: float("inf") if it.find is None else it.find.median)


def sentence(contest: BuildContest, verdict: BuildVerdict | None) -> str:
    """Always one."""
    if verdict is not None:
        saves, of = time_text(abs(verdict.saves.median)), time_text(verdict.of_s)
        match verdict.outcome:
            case Outcome.WATCHING:
                return f"watching saves {saves} of {of} a RUN here; use {verdict.use}"
            case Outcome.SCANNING:
                return f"watching costs {saves} a RUN more than scanning here; use {verdict.use}"
            case Outcome.EQUAL:
                same = "a RUN takes as long with scanning here, within what was measured"
                return f"{same}{_finding(contest)}; use {verdict.use}"
    ours = [it for it in contest.summaries if it.contestant.kind in (WATCHING, SCANNING)]
    if ours and all(it.run is None for it in ours):
        return "there is no RUN here, so nothing to watch for"
    if any(it.differs for it in ours):
        return "no answer: images differ with the way in which changes were found, see above"
    return "no answer: one that watches and one that scans are needed to compare"


def _finding(contest: BuildContest) -> str:
    watching, scanning = contest.best(WATCHING), contest.best(SCANNING)
    if watching is None or scanning is None or watching.find is None or scanning.find is None:
        return ""
    times = f"{time_text(watching.find.median)} with {watching.contestant.name}"
    return f" (finding out takes {times}, {time_text(scanning.find.median)} with {scanning.contestant.name})"
