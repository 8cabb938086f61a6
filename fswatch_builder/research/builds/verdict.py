"""The answer in one sentence: is watching worth it for this Dockerfile?

Who runs it again pays for whole builds, so these decide. What a RUN takes decides where they do not, and says from how
many RUNs on another way would do better.
"""

from collections.abc import Iterable, Sequence
from math import ceil

from msgspec import Struct

from fswatch_builder.research.bench.verdict import Outcome, time_text
from fswatch_builder.research.builds.rows import BuildRow
from fswatch_builder.research.builds.summary import (
    CHOOSING,
    SCANNING,
    WATCHING,
    BuildContest,
    BuildSummary,
    longer_builds,
    longer_runs,
)
from fswatch_builder.research.estimates import Estimate, estimate
from fswatch_builder.research.strategies import strategies


class Saving(Struct, frozen=True):
    """What watching saves, in seconds, less than nothing if it costs: compared within each repetition. ``of_s`` is what
    it takes with scanning.
    """

    saves: Estimate
    of_s: float

    @property
    def outcome(self) -> Outcome:
        """Who takes less time."""
        if self.saves.low <= 0 <= self.saves.high:
            return Outcome.EQUAL
        return Outcome.WATCHING if self.saves.median > 0 else Outcome.SCANNING


class Turn(Struct, frozen=True):
    """``name`` takes longer for this build, and would take less for one that has at least ``runs`` RUNs like these.

    ``begins_s`` is what a build takes once, before its first RUN, and ``other_begins_s`` with what is to be used; None
    where that is not the reason.
    """

    name: str
    runs: int
    begins_s: float | None = None
    other_begins_s: float | None = None


class Choice(Struct, frozen=True):
    """What the builder chooses unless it is told. ``same``: it is what is to be used.

    ``costs_s`` is what a build takes longer for that choice; None: no longer, within what was measured.
    """

    trackers: tuple[str, ...]
    same: bool
    costs_s: float | None


class BuildVerdict(Struct, frozen=True):
    """``use`` is the strategy to use for this Dockerfile. ``run`` and ``build`` compare ``watching`` with ``scanning``,
    the best of each kind.
    """

    outcome: Outcome
    use: str
    watching: str
    scanning: str
    run: Saving
    build: Saving
    turn: Turn | None
    choice: Choice | None


def build_verdict(contest: BuildContest, rows: Sequence[BuildRow]) -> BuildVerdict | None:
    """Among those whose images are the reference's. None if there is nothing to compare."""
    able = [it for it in contest.summaries if it.is_exact and it.run is not None]
    watching = _best(rows, (it for it in able if it.contestant.kind == WATCHING))
    scanning = _best(rows, (it for it in able if it.contestant.kind == SCANNING))
    if watching is None or scanning is None or watching.run is None or scanning.run is None:
        return None
    names = scanning.contestant.name, watching.contestant.name
    runs, builds = longer_runs(rows, *names), longer_builds(rows, *names)
    if not runs or not builds:
        return None
    run = Saving(estimate(runs), scanning.run.median)
    build = Saving(estimate(builds), scanning.whole.median)
    outcome = run.outcome if build.outcome is Outcome.EQUAL else build.outcome
    use = {Outcome.WATCHING: watching, Outcome.SCANNING: scanning}.get(outcome) or _less_to_find(watching, scanning)
    others = [it for it in able if it.contestant.kind in (WATCHING, SCANNING) and it != use]
    return BuildVerdict(
        outcome=outcome,
        use=use.contestant.name,
        watching=watching.contestant.name,
        scanning=scanning.contestant.name,
        run=run,
        build=build,
        turn=_turn(rows, use, others),
        choice=_choice(rows, use, able),
    )


def _best(rows: Sequence[BuildRow], of: Iterable[BuildSummary]) -> BuildSummary | None:
    """The fastest build; of those that may be as fast, the fastest RUN."""
    known = list(of)
    if not known:
        return None
    fastest = min(known, key=lambda it: it.whole.median)
    tied = [it for it in known if it == fastest or not _is_clear(_builds(rows, it, fastest))]
    return min(tied, key=lambda it: float("inf") if it.run is None else it.run.median)


def _less_to_find(one: BuildSummary, other: BuildSummary) -> BuildSummary:
    """Where commands take as long as they take, what comes after them decides."""
    return min((one, other), key=lambda it: float("inf") if it.find is None else it.find.median)


def _turn(rows: Sequence[BuildRow], use: BuildSummary, others: Iterable[BuildSummary]) -> Turn | None:
    """The one that needs the fewest RUNs for it; None if nobody's RUNs take clearly less."""
    found = []
    for other in others:
        saves, costs = _runs(rows, use, other), _builds(rows, other, use)
        if saves is None or costs is None or not (_is_clear(saves) and _is_clear(costs)):
            continue
        begins, begun = (None if it.once is None else it.once.median for it in (other, use))
        runs = use.runs + ceil(costs.median / saves.median)
        if begins is not None and begun is not None and begins - begun > costs.median / 2:
            found.append(Turn(other.contestant.name, runs, begins, begun))
        else:
            found.append(Turn(other.contestant.name, runs))
    return min(found, key=lambda turn: turn.runs, default=None)


def _choice(rows: Sequence[BuildRow], use: BuildSummary, able: Iterable[BuildSummary]) -> Choice | None:
    chosen = next((it for it in able if it.contestant.kind == CHOOSING), None)
    if chosen is None:
        return None
    costs = _builds(rows, chosen, use)
    known = strategies().get(use.contestant.name)
    same = known is not None and chosen.trackers == (known.tracker,)
    return Choice(chosen.trackers, same, costs.median if costs is not None and _is_clear(costs) else None)


def _runs(rows: Sequence[BuildRow], one: BuildSummary, other: BuildSummary) -> Estimate | None:
    differences = longer_runs(rows, one.contestant.name, other.contestant.name)
    return estimate(differences) if differences else None


def _builds(rows: Sequence[BuildRow], one: BuildSummary, other: BuildSummary) -> Estimate | None:
    differences = longer_builds(rows, one.contestant.name, other.contestant.name)
    return estimate(differences) if differences else None


def _is_clear(longer: Estimate | None) -> bool:
    """Whether it is more than nothing, for all that was measured."""
    return longer is not None and longer.low > 0


def sentence(contest: BuildContest, verdict: BuildVerdict | None) -> str:
    """Always one."""
    if verdict is not None:
        said = f"{_comparison(contest, verdict)}; use {verdict.use}{_chosen(verdict)}{_turning(verdict)}"
        return (
            said if verdict.run.saves.count > 1 else f"{said} (by one build of each, so that chance may have decided)"
        )
    ours = [it for it in contest.summaries if it.contestant.kind in (WATCHING, SCANNING)]
    if ours and all(it.run is None for it in ours):
        return "there is no RUN here, so nothing to watch for"
    if any(it.differs for it in ours):
        return "no answer: images differ with the way in which changes were found, see above"
    return "no answer: one that watches and one that scans are needed to compare"


def _comparison(contest: BuildContest, verdict: BuildVerdict) -> str:
    run, build = verdict.run.outcome, verdict.build.outcome
    saves = time_text(abs(verdict.run.saves.median))
    match run:
        case Outcome.WATCHING:
            of_a_run = f"watching saves {saves} of {time_text(verdict.run.of_s)} a RUN here"
        case Outcome.SCANNING:
            of_a_run = f"watching costs {saves} a RUN more than scanning here"
        case Outcome.EQUAL:
            same = "a RUN takes as long with scanning here, within what was measured"
            of_a_run = f"{same}{_finding(contest, verdict)}"
    if build is Outcome.EQUAL:
        return f"{of_a_run}, and a build takes as long"
    watched, scanned = time_text(verdict.build.of_s - verdict.build.saves.median), time_text(verdict.build.of_s)
    both = f"a build takes {watched} with {verdict.watching}, {scanned} with {verdict.scanning}"
    return f"{of_a_run}, {'and' if run is build else 'but'} {both}"


def _finding(contest: BuildContest, verdict: BuildVerdict) -> str:
    found = {it.contestant.name: it.find for it in contest.summaries}
    watching, scanning = found.get(verdict.watching), found.get(verdict.scanning)
    if watching is None or scanning is None:
        return ""
    times = f"{time_text(watching.median)} with {verdict.watching}"
    return f" (finding out takes {times}, {time_text(scanning.median)} with {verdict.scanning})"


def _chosen(verdict: BuildVerdict) -> str:
    choice = verdict.choice
    if choice is None:
        return ""
    if choice.same:
        return ", as auto does"
    taken = " and ".join(choice.trackers)
    if choice.costs_s is None:
        return f" (auto takes {taken}, and a build takes as long)"
    return f" (auto takes {taken}, and a build takes {time_text(choice.costs_s)} longer)"


def _turning(verdict: BuildVerdict) -> str:
    turn = verdict.turn
    if turn is None:
        return ""
    faster = f"; from {turn.runs:,} RUNs a build on {turn.name} would take less"
    if turn.begins_s is None or turn.other_begins_s is None:
        return faster
    begins, begun = time_text(turn.begins_s), time_text(turn.other_begins_s)
    return f"{faster}: it needs {begins} to begin a build, {verdict.use} {begun}"
