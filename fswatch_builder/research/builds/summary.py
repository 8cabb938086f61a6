"""Rows become medians with intervals, builder by builder, and who won."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from msgspec import Struct

from fswatch_builder.research.builds.rows import Build, BuildPlan, BuildRow, Contestant
from fswatch_builder.research.estimates import Estimate, estimate

WATCHING, SCANNING, CHOOSING, PEER = "watching", "scanning", "choosing", "peer"


class BuildSummary(Struct, frozen=True):
    """One builder. Times are seconds, sizes bytes; ``run``, ``command``, ``find`` and ``pack`` are of a RUN on average.

    ``differs`` counts paths in which its images differ from the reference's, those aside that differ between builds
    that find changes in the same way; ``examples`` are some of them. None where it was not looked at. ``runs``: of each
    build. ``trackers``: what changes were found with.
    """

    contestant: Contestant
    builds: int
    whole: Estimate
    run: Estimate | None
    command: Estimate | None
    find: Estimate | None
    pack: Estimate | None
    once: Estimate | None
    cpu: Estimate | None
    peak_rss: int | None
    differs: int | None
    examples: tuple[str, ...]
    losses: tuple[str, ...]
    runs: int = 0
    trackers: tuple[str, ...] = ()

    @property
    def is_exact(self) -> bool:
        """Whether its images are the reference's."""
        return self.differs == 0

    @property
    def label(self) -> str:
        """Its name; of one that chose, with what it chose."""
        name = self.contestant.name
        return f"{name} ({', '.join(self.trackers)})" if self.contestant.kind == CHOOSING and self.trackers else name


class BuildFailure(Struct, frozen=True):
    """A builder that could not do it."""

    builder: str
    problem: str


class BuildContest(Struct, frozen=True):
    """All builders, the fastest build first; ``varying`` paths differ from build to build whoever builds."""

    summaries: tuple[BuildSummary, ...]
    failures: tuple[BuildFailure, ...]
    varying: tuple[str, ...]


_EXAMPLES = 10


def build_contest(plan: BuildPlan, rows: Iterable[BuildRow], reference: str) -> BuildContest:
    """``reference`` names the strategy that the reference was built with: in what its own builds differ from it, the
    commands differ.
    """
    builds: defaultdict[str, list[Build]] = defaultdict(list)
    problems: dict[str, str] = {}
    for row in rows:
        if row.build is not None:
            builds[row.builder].append(row.build)
        else:
            problems[row.builder] = row.problem or ""
    varying = frozenset(_path(it) for build in builds.get(reference, ()) for it in build.differs or ())
    summaries = [_summary(one, builds[one.name], varying) for one in plan.contestants if one.name in builds]
    return BuildContest(
        tuple(sorted(summaries, key=lambda it: it.whole.median)),
        tuple(BuildFailure(name, problem) for name, problem in problems.items()),
        tuple(sorted(varying)),
    )


def _path(difference: str) -> str:
    return difference.rpartition(": ")[0]


def _summary(one: Contestant, builds: Sequence[Build], varying: frozenset[str]) -> BuildSummary:
    differing = [build.differs for build in builds if build.differs is not None]
    paths = {it: None for found in differing for it in found if _path(it) not in varying}
    return BuildSummary(
        contestant=one,
        builds=len(builds),
        whole=estimate([build.seconds for build in builds]),
        run=_of([build.run_s for build in builds]),
        command=_of([_mean([run.command for run in build.runs]) for build in builds]),
        find=_of([_mean([run.find for run in build.runs]) for build in builds]),
        pack=_of([_mean([run.pack for run in build.runs]) for build in builds]),
        once=_of([build.once_s for build in builds]),
        cpu=_of([build.cpu_s for build in builds]),
        peak_rss=max((build.peak_rss for build in builds if build.peak_rss is not None), default=None),
        differs=len(paths) if differing else None,
        examples=tuple(paths)[:_EXAMPLES],
        losses=tuple(sorted({reason for build in builds for run in build.runs for reason in run.losses})),
        runs=max(len(build.runs) for build in builds),
        trackers=tuple(sorted({run.tracker for build in builds for run in build.runs if run.tracker is not None})),
    )


def _of(figures: Sequence[float | None]) -> Estimate | None:
    """None unless all are known."""
    known = [figure for figure in figures if figure is not None]
    return estimate(known) if known and len(known) == len(figures) else None


def _mean(figures: Sequence[float | None]) -> float | None:
    known = [figure for figure in figures if figure is not None]
    return sum(known) / len(known) if known and len(known) == len(figures) else None


def longer_runs(rows: Iterable[BuildRow], one: str, other: str) -> list[float]:
    """What a RUN of ``one`` takes longer than one of ``other``, seconds, by repetition: builds of one repetition were
    done under the same load of everything else.
    """
    return _paired(((row, row.build.run_s) for row in rows if row.build is not None), one, other)


def longer_builds(rows: Iterable[BuildRow], one: str, other: str) -> list[float]:
    """The same of whole builds."""
    return _paired(((row, row.build.seconds) for row in rows if row.build is not None), one, other)


def _paired(taken: Iterable[tuple[BuildRow, float | None]], one: str, other: str) -> list[float]:
    figures: defaultdict[int, dict[str, float]] = defaultdict(dict)
    for row, seconds in taken:
        if seconds is not None:
            figures[row.repetition][row.builder] = seconds
    return [found[one] - found[other] for found in figures.values() if {one, other} <= found.keys()]
