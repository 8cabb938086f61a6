"""What bench makes of trials: fake ones, of which everything is known."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from fswatch_builder.errors import CommandError, TrackingError
from fswatch_builder.research.bench import room
from fswatch_builder.research.bench.campaign import Campaign
from fswatch_builder.research.bench.engine import rows
from fswatch_builder.research.bench.ground import Ground
from fswatch_builder.research.bench.rows import Cell, ImageTrial, Plan, Row, Tree
from fswatch_builder.research.bench.schedule import Turn, turns
from fswatch_builder.research.bench.summary import contests, failures
from fswatch_builder.research.bench.trial import FoundOut, Trial
from fswatch_builder.research.bench.verdict import Outcome, of_builders, verdict
from fswatch_builder.research.corpora.registry import corpus
from fswatch_builder.research.machine import describe
from fswatch_builder.research.strategies import UNWATCHED, strategies
from fswatch_builder.research.workloads.registry import workloads

TREE = Tree("tree", 7, "sha256:0")
STRATEGIES = (UNWATCHED, "fanotify", "scan", "scan-time")
FOUND = FoundOut(
    arm_s=0.5,
    settle_s=0.0,
    compare_s=0.0,
    pack_s=0.25,
    own_cpu_s=0.125,
    peak_rss=100,
    kernel=10,
    peak_group=None,
    events=5,
    hints=1,
    losses=(),
    looked_at=2,
    read=3,
    missed=0,
    spurious=0,
)


def trial(command_s: float, after_s: float | None, *, missed: int = 0) -> Trial:
    found = None if after_s is None else replace(FOUND, settle_s=after_s / 4, compare_s=after_s * 3 / 4, missed=missed)
    return Trial(command_s, command_s, 1, found)


#: The command takes 2 s. Watched it takes 3, and the changes are known at once; scanning takes 4 s more.
KNOWN = {
    UNWATCHED: trial(2.0, None),
    "fanotify": trial(3.0, 0.5),
    "scan": trial(2.0, 4.0),
    "scan-time": trial(2.0, 0.25, missed=2),
}


def schedule(repeat: int = 3, strategies: Sequence[str] = STRATEGIES) -> list[Turn]:
    return list(turns("tree", ["work"], strategies, repeat, seed=1))


def run(known: Mapping[str, Trial] = KNOWN, repeat: int = 3) -> list[Row]:
    return list(rows(TREE, lambda cell: known[cell.strategy], schedule(repeat), lambda: 0.0))


def test_every_trial_is_done_once_in_an_order_drawn_anew_each_time() -> None:
    done = schedule(repeat=20)
    assert len(done) == len(set(done)) == 20 * len(STRATEGIES)
    orders = {tuple(it.cell.strategy for it in done if it.repetition == number) for number in range(20)}
    assert len(orders) > 5
    assert all(sorted(order) == sorted(STRATEGIES) for order in orders)
    assert done == schedule(repeat=20)


def test_known_times_give_the_known_table() -> None:
    (contest,) = contests(run())
    assert [summary.cell.strategy for summary in contest.summaries] == [UNWATCHED, "scan-time", "fanotify", "scan"]
    fanotify = contest.of("fanotify")
    assert fanotify is not None
    assert fanotify.slowdown.median == 1.5
    assert fanotify.costs is not None
    assert fanotify.costs.median == 1.5
    assert fanotify.after is not None
    assert fanotify.after.median == 0.5
    assert (fanotify.missed, fanotify.trials, fanotify.peak_rss, fanotify.kernel) == (0, 3, 100, 10)
    bare = contest.of(UNWATCHED)
    assert bare is not None
    assert (bare.costs, bare.arm, bare.slowdown.median) == (None, None, 1.0)


def test_watching_wins_where_it_saves_more_than_it_slows() -> None:
    (contest,) = contests(run())
    found = verdict(contest)
    assert found is not None
    assert (found.outcome, found.use, found.saves_s, found.of_s) == (Outcome.WATCHING, "fanotify", 2.5, 4.0)
    assert str(found) == "watching saves 2.5 s of 4.0 s a RUN here; use fanotify"


def test_what_the_commands_own_time_hides_is_no_gain() -> None:
    """The scan's trials happen to run faster than the unwatched command."""
    (contest,) = contests(run({**KNOWN, "scan": trial(1.0, 0.5), "fanotify": trial(1.0, 0.25)}))
    found = verdict(contest)
    assert found is not None
    assert found.outcome is Outcome.EQUAL
    (contest,) = contests(run({**KNOWN, "fanotify": trial(1.0, 0.25)}))
    assert str(verdict(contest)) == "watching saves 4.0 s of 4.0 s a RUN here; use fanotify"


def test_rows_say_whether_the_kernel_knew_the_tree() -> None:
    cold = list(rows(TREE, lambda cell: KNOWN[cell.strategy], schedule(), lambda: 0.0, cache="cold"))
    assert {row.cache for row in cold} == {"cold"}
    assert {row.cache for row in run()} == {"warm"}


def test_watching_loses_where_it_slows_more_than_it_saves_and_it_is_said_as_loudly() -> None:
    (contest,) = contests(run({**KNOWN, "fanotify": trial(8.0, 0.0)}))
    assert str(verdict(contest)) == "watching costs 2.0 s a RUN more than scanning here; use scan"


def test_what_was_measured_may_not_be_enough_to_tell() -> None:
    noisy = iter([3.0, 5.0, 7.0])
    known = {**KNOWN, "scan": trial(2.0, 3.0)}
    done = [
        Row(
            it.cell,
            TREE,
            it.repetition,
            0.0,
            trial(next(noisy), 0.0) if it.cell.strategy == "fanotify" else known[it.cell.strategy],
        )
        for it in schedule()
    ]
    (contest,) = contests(done)
    found = verdict(contest)
    assert found is not None
    assert found.outcome is Outcome.EQUAL


def test_a_strategy_that_missed_a_change_cannot_win() -> None:
    (contest,) = contests(run({**KNOWN, "fanotify": trial(2.0, 0.0, missed=1)}))
    assert contest.best(watching=True) is None
    assert verdict(contest) is None
    cheapest = contest.best(watching=False)
    assert cheapest is not None
    # The hasty scan is cheaper, and no answer.
    assert cheapest.cell.strategy == "scan"


def test_trials_of_one_repetition_are_compared_with_each_other() -> None:
    """The machine was slow in the second: as much for one as for the other."""
    slow = {0: 1.0, 1: 9.0, 2: 1.0}
    done = [
        Row(
            it.cell,
            TREE,
            it.repetition,
            0.0,
            trial(slow[it.repetition], None if it.cell.strategy == UNWATCHED else 0.5),
        )
        for it in schedule(strategies=(UNWATCHED, "fanotify"))
    ]
    (contest,) = contests(done)
    found = contest.of("fanotify")
    assert found is not None
    assert found.costs is not None
    assert (found.costs.low, found.costs.high) == (0.5, 0.5)


def test_a_strategy_that_cannot_work_is_a_row_that_says_so_and_is_not_tried_again() -> None:
    tried: list[str] = []

    def attempt(cell: Cell) -> Trial:
        tried.append(cell.strategy)
        if cell.strategy == "fanotify":
            raise TrackingError("not here")
        return KNOWN[cell.strategy]

    done = list(rows(TREE, attempt, schedule(), lambda: 0.0))
    assert len(done) == 3 * len(STRATEGIES)
    assert tried.count("fanotify") == 1
    (contest,) = contests(done)
    assert [(it.cell.strategy, it.problem) for it in contest.failures] == [("fanotify", "not here")]
    assert verdict(contest) is None


def test_a_command_that_fails_with_nobody_watching_is_an_error() -> None:
    def attempt(cell: Cell) -> Trial:
        raise CommandError("false ends with status 1", 1)

    with pytest.raises(CommandError):
        list(rows(TREE, attempt, schedule(strategies=(UNWATCHED,)), lambda: 0.0))


def test_a_run_that_was_interrupted_goes_on_with_what_is_missing() -> None:
    whole = run()
    done = whole[:5]
    tried: list[Cell] = []

    def attempt(cell: Cell) -> Trial:
        tried.append(cell)
        return KNOWN[cell.strategy]

    rest = list(rows(TREE, attempt, schedule(), lambda: 0.0, done))
    assert [*done, *rest] == whole
    assert len(tried) == len(whole) - 5


def test_a_row_is_a_trial_or_a_problem() -> None:
    with pytest.raises(ValueError, match="trial"):
        Row(Cell("tree", "work", "scan"), TREE, 0, 0.0, None)
    with pytest.raises(ValueError, match="trial"):
        Row(Cell("tree", "work", "scan"), TREE, 0, 0.0, KNOWN["scan"], built=built(1.0, 1.0))


def built(whole_s: float, run_s: float, *, missed: int = 0) -> ImageTrial:
    return ImageTrial(whole_s, run_s, 0.5, 1 << 20, 3, missed, 0)


#: The command alone takes 2 s.
BUILDERS = {
    "fswatch-builder auto": built(6.0, 2.5),
    "other": built(5.0, 4.0, missed=2),
    "silent": replace(built(9.0, 0.0), run_s=None, cpu_s=None, peak_rss=None),
}


def with_builders(
    known: Mapping[str, ImageTrial], attempt: Callable[[Cell], Trial | ImageTrial] | None = None
) -> list[Row]:
    both: dict[str, Trial | ImageTrial] = {**KNOWN, **known}
    trials = attempt or (lambda cell: both[cell.strategy])
    return list(rows(TREE, trials, schedule(strategies=(*STRATEGIES, *known)), lambda: 0.0))


def test_builders_take_turns_with_strategies_and_have_a_table_of_their_own() -> None:
    done = with_builders(BUILDERS)
    assert [row.cell.strategy for row in done[:7]] != [*STRATEGIES, *BUILDERS]
    (contest,) = contests(done)
    assert {it.cell.strategy for it in contest.summaries} == set(STRATEGIES)
    assert [it.builder for it in contest.builders] == ["other", "fswatch-builder auto", "silent"]
    other, ours, silent = contest.builders
    assert other.whole.median == 5.0
    assert other.costs is not None
    assert ours.costs is not None
    assert (other.costs.median, ours.costs.median) == (2.0, 0.5)
    assert (other.builds, other.listed, other.missed, other.spurious) == (3, 3, 2, 0)
    assert (silent.run, silent.costs, silent.cpu, silent.peak_rss) == (None, None, None, None)
    assert str(verdict(contest)) == "watching saves 2.5 s of 4.0 s a RUN here; use fanotify"


def test_who_builds_fastest_is_said_and_that_it_missed_something_too() -> None:
    (contest,) = contests(with_builders(BUILDERS))
    assert of_builders(contest) == (
        "a build takes 5.0 s with other (changes: 2 missed), the fastest, and 6.0 s with fswatch-builder auto"
    )
    (contest,) = contests(with_builders({**BUILDERS, "fswatch-builder auto": built(4.0, 2.5)}))
    assert of_builders(contest) == (
        "a build takes 4.0 s with fswatch-builder auto, the fastest, and 5.0 s with other (changes: 2 missed)"
    )
    (contest,) = contests(with_builders({**BUILDERS, "fswatch-builder auto": built(5.0, 2.5)}))
    assert of_builders(contest) is not None
    assert "as long, within what was measured" in str(of_builders(contest))
    (contest,) = contests(run())
    assert of_builders(contest) is None


def test_a_builder_that_cannot_do_it_is_named_with_the_others_that_cannot() -> None:
    def attempt(cell: Cell) -> Trial:
        if cell.strategy in BUILDERS:
            raise TrackingError("no compiler there")
        return KNOWN[cell.strategy]

    (contest,) = contests(with_builders(BUILDERS, attempt))
    assert failures(contest) == [(sorted(BUILDERS), "no compiler there")]
    assert contest.builders == ()


class Silent:
    """An onlooker that looks away, but for what comes too late."""

    def __init__(self) -> None:
        self.late: list[tuple[str, int]] = []

    def begins(self, corpus: str) -> None:
        pass

    def prepares(self, corpus: str, what: str) -> None:
        pass

    def left_out(self, strategy: str, reason: str) -> None:
        pass

    def is_at(self, corpus: str, done: int, of: int, seconds_left: float | None) -> None:
        pass

    def has_no_time(self, corpus: str, repetitions: int) -> None:
        self.late.append((corpus, repetitions))


@pytest.mark.root
def test_when_time_is_up_a_run_ends_with_something_to_compare_and_not_after_a_whole_repetition(tmp_path: Path) -> None:
    plan = Plan(("wide-100",), ("nothing", "one-file"), (UNWATCHED, "scan"), 9, 1, "warm", describe(str(tmp_path)))
    work = [workloads()[name] for name in plan.workloads]
    onlooker = Silent()
    campaign = Campaign(plan, [corpus("wide-100")], work, str(tmp_path), named=True, seconds=0.0)
    done = list(campaign.run(onlooker))
    assert {row.cell.strategy for row in done} == {UNWATCHED, "scan"}
    assert len({row.cell.workload for row in done}) == 1
    assert onlooker.late == [("wide-100", 0)]


def test_too_few_watches_for_what_was_asked_for_by_name_are_told_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        (tmp_path / "tree" / str(number)).mkdir(parents=True)
    (tmp_path / "home").mkdir()
    ground = Ground(str(tmp_path / "home"), str(tmp_path / "tree"))
    monkeypatch.setattr(room, "watch_budget", lambda needed: needed)
    room.check_strategy(strategies()["inotify"], ground)
    monkeypatch.setattr(room, "watch_budget", lambda needed: needed - 1)
    with pytest.raises(TrackingError, match="needs 6 watches, and 5 are to be had"):
        room.check_strategy(strategies()["inotify"], ground)
    room.check_strategy(strategies()["scan"], ground)
