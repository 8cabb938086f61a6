"""What the rows say: medians with their intervals, cell by cell, and who won."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from msgspec import Struct

from fswatch_builder.research.bench.rows import Cell, ImageTrial, Row
from fswatch_builder.research.bench.trial import FoundOut, Trial
from fswatch_builder.research.estimates import Estimate, estimate, ratio
from fswatch_builder.research.strategies import UNWATCHED, Strategy, strategies

#: By repetition.
_Trials = dict[int, Trial]
_Builds = dict[int, ImageTrial]


class Summary(Struct, frozen=True):
    """One strategy on one workload. Times are seconds, sizes bytes; intervals hold the median with 95 % confidence.

    ``slowdown`` is the command's time to that of the unwatched one; ``costs`` is what a RUN takes longer than the
    unwatched command of the same repetition, to the list of changes: the figure strategies are compared by. ``missed``
    and ``spurious`` are the most of any trial. None where nobody looks.
    """

    cell: Cell
    trials: int
    command: Estimate
    slowdown: Estimate
    costs: Estimate | None
    arm: Estimate | None
    after: Estimate | None
    settle: Estimate | None
    compare: Estimate | None
    pack: Estimate | None
    own_cpu: Estimate | None
    peak_rss: int
    kernel: int
    peak_group: int | None
    events: int | None
    hints: int
    looked_at: int
    changes: int
    missed: int
    spurious: int
    losses: tuple[str, ...]

    @property
    def is_exact(self) -> bool:
        """Whether it told the truth, every time."""
        return self.missed == self.spurious == 0


class BuilderSummary(Struct, frozen=True):
    """One builder on one workload. Times are seconds, sizes bytes; intervals hold the median with 95 % confidence.

    ``whole`` is the whole build, ``run`` the RUN of the command by the builder's own clock, ``costs`` what of that is
    more than the unwatched command of the same repetition: none of the two where it tells no times. ``listed`` counts
    paths that its layers list, ``missed`` and ``spurious`` are the most of any build.
    """

    builder: str
    builds: int
    whole: Estimate
    run: Estimate | None
    costs: Estimate | None
    cpu: Estimate | None
    peak_rss: int | None
    listed: int
    missed: int
    spurious: int


class Failure(Struct, frozen=True):
    """A strategy that could not do it."""

    cell: Cell
    problem: str


class Contest(Struct, frozen=True):
    """All strategies on one workload and one tree: ``summaries`` from the cheapest, the unwatched command first.
    ``builders``, from the fastest, have built an image of that tree with the command as a RUN.
    """

    corpus: str
    workload: str
    summaries: tuple[Summary, ...]
    failures: tuple[Failure, ...]
    builders: tuple[BuilderSummary, ...] = ()

    def of(self, strategy: str) -> Summary | None:
        """Its summary; None if it has none."""
        return next((summary for summary in self.summaries if summary.cell.strategy == strategy), None)

    def best(self, *, watching: bool) -> Summary | None:
        """The cheapest one that watches, or does not, among those that promise to miss nothing, and missed nothing."""
        known = strategies()
        return next((it for it in self.summaries if _may_win(it, known.get(it.cell.strategy), watching=watching)), None)


def failures(contest: Contest) -> list[tuple[list[str], str]]:
    """Who could not do it, and why: those with one reason together."""
    names: dict[str, list[str]] = {}
    for failure in contest.failures:
        names.setdefault(failure.problem, []).append(failure.cell.strategy)
    return [(them, problem) for problem, them in names.items()]


def _may_win(summary: Summary, strategy: Strategy | None, *, watching: bool) -> bool:
    return strategy is not None and strategy.is_exact and summary.is_exact and strategy.watches == watching


def contests(rows: Iterable[Row]) -> list[Contest]:
    """In the order in which the trees and commands came up."""
    trials: defaultdict[tuple[str, str], defaultdict[str, _Trials]] = defaultdict(lambda: defaultdict(dict))
    builds: defaultdict[tuple[str, str], defaultdict[str, _Builds]] = defaultdict(lambda: defaultdict(dict))
    problems: defaultdict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for row in rows:
        place = (row.cell.corpus, row.cell.workload)
        if row.trial is not None:
            trials[place][row.cell.strategy][row.repetition] = row.trial
        elif row.built is not None:
            builds[place][row.cell.strategy][row.repetition] = row.built
        else:
            problems[place][row.cell.strategy] = row.problem or ""
    return [
        Contest(
            corpus,
            workload,
            tuple(sorted(_summaries(corpus, workload, by_strategy), key=_cost)),
            tuple(
                Failure(Cell(corpus, workload, strategy), problem)
                for strategy, problem in sorted(problems[corpus, workload].items())
            ),
            _builders(builds[corpus, workload], _bare(by_strategy)),
        )
        for (corpus, workload), by_strategy in trials.items()
        if UNWATCHED in by_strategy
    ]


def _cost(summary: Summary) -> float:
    return float("-inf") if summary.costs is None else summary.costs.median


def _summaries(corpus: str, workload: str, trials: Mapping[str, _Trials]) -> list[Summary]:
    bare = _bare(trials)
    return [_summary(Cell(corpus, workload, strategy), done, bare) for strategy, done in trials.items()]


def _summary(cell: Cell, done: _Trials, bare: Mapping[int, float]) -> Summary:
    trials = list(done.values())
    found = [trial.found for trial in trials if trial.found is not None]
    commands = [trial.command_s for trial in trials]
    # Those of one repetition ran next to each other, under the same load of everything else.
    longer = [
        trial.command_s + trial.found.after_s - bare[repetition]
        for repetition, trial in done.items()
        if trial.found is not None and repetition in bare
    ]

    events = [it.events for it in found if it.events is not None]

    def of(figures: list[float]) -> Estimate | None:
        return estimate(figures) if figures else None

    return Summary(
        cell=cell,
        trials=len(trials),
        command=estimate(commands),
        slowdown=ratio(commands, list(bare.values())),
        costs=of(longer),
        arm=of([it.arm_s for it in found]),
        after=of([it.after_s for it in found]),
        settle=of([it.settle_s for it in found]),
        compare=of([it.compare_s for it in found]),
        pack=of([it.pack_s for it in found]),
        own_cpu=of([it.own_cpu_s for it in found]),
        peak_rss=max((it.peak_rss for it in found), default=0),
        kernel=_middle([it.kernel for it in found]),
        peak_group=max((it.peak_group for it in found if it.peak_group is not None), default=None),
        events=_middle(events) if events else None,
        hints=_middle([it.hints for it in found]),
        looked_at=_middle([it.looked_at for it in found]),
        changes=_middle([trial.changes for trial in trials]),
        missed=_most(found, "missed"),
        spurious=_most(found, "spurious"),
        losses=tuple(sorted({reason for it in found for reason in it.losses})),
    )


def _bare(trials: Mapping[str, _Trials]) -> dict[int, float]:
    return {repetition: trial.command_s for repetition, trial in trials[UNWATCHED].items()}


def _builders(builds: Mapping[str, _Builds], bare: Mapping[int, float]) -> tuple[BuilderSummary, ...]:
    found = [_builder(name, done, bare) for name, done in builds.items()]
    return tuple(sorted(found, key=lambda it: it.whole.median))


def _builder(name: str, done: _Builds, bare: Mapping[int, float]) -> BuilderSummary:
    builds = list(done.values())
    runs = {repetition: build.run_s for repetition, build in done.items() if build.run_s is not None}
    longer = [run - bare[repetition] for repetition, run in runs.items() if repetition in bare]
    cpu = [build.cpu_s for build in builds if build.cpu_s is not None]
    return BuilderSummary(
        builder=name,
        builds=len(builds),
        whole=estimate([build.whole_s for build in builds]),
        run=estimate(list(runs.values())) if runs else None,
        costs=estimate(longer) if longer else None,
        cpu=estimate(cpu) if cpu else None,
        peak_rss=max((build.peak_rss for build in builds if build.peak_rss is not None), default=None),
        listed=max(build.listed for build in builds),
        missed=max(build.missed for build in builds),
        spurious=max(build.spurious for build in builds),
    )


def _middle(counts: list[int]) -> int:
    return round(median(counts)) if counts else 0


def _most(found: Sequence[FoundOut], name: str) -> int:
    return max((getattr(it, name) for it in found), default=0)
