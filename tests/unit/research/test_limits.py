"""The machinery of experiments, with made ones."""

import csv
import io
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypedDict, Unpack

import pytest
from msgspec.structs import replace

from fswatch_builder.errors import BuildError, UsageError
from fswatch_builder.research import results
from fswatch_builder.research.limits import files, model, possible
from fswatch_builder.research.limits.claims import findings, middle
from fswatch_builder.research.limits.experiment import (
    Claim,
    Column,
    Experiment,
    Figure,
    Laboratory,
    Point,
    Row,
    Scalar,
    grid,
    no_more,
)
from fswatch_builder.research.limits.middles import middles
from fswatch_builder.research.limits.queue import child
from fswatch_builder.research.limits.run import Measured, Settings, measured, report, settings
from fswatch_builder.research.machine import Machine, describe

COLUMNS = (Column("size", "B", "how large"), Column("shape", "", "how"), Column("seconds", "s", "how long"))

Measure = Callable[[Laboratory, Point], Iterator[Row]]


class Changes(TypedDict, total=False):
    """What an experiment has otherwise than the made one."""

    columns: tuple[Column, ...]
    figures: tuple[Figure, ...]
    points: Callable[[Machine], Sequence[Point]]
    repeat: int
    needs_root: str
    changes_host: str
    programs: tuple[str, ...]
    claims: tuple[Claim, ...]
    takes: Callable[[Point], int]


def experiment(measure: Measure, **changes: Unpack[Changes]) -> Experiment:
    made = Experiment(
        name="made",
        asks="Why?",
        method="By asking.",
        columns=COLUMNS,
        figures=(Figure("It", "line", "size", "seconds", "shape"),),
        points=lambda machine: grid(size=(1, 2), shape=("a", "b")),
        more=no_more,
        measure=measure,
        repeat=3,
    )
    return replace(made, **changes)


def number(value: Scalar) -> float:
    """That it is one is a part of what is tested."""
    assert isinstance(value, int | float)
    return value


def known(laboratory: Laboratory, point: Point) -> Iterator[Row]:
    with open(os.path.join(laboratory.directory, "left behind"), "w"):
        yield {**point, "seconds": number(point["size"]) * 0.5}


def run(
    made: Experiment, machine: Machine, directory: Path, done: Sequence[Measured] = ()
) -> tuple[Settings, list[Measured]]:
    plan = settings(made, made.points(machine), made.repeat, 1, machine)
    return plan, list(measured(made, plan, str(directory), done))


def test_every_point_is_measured_as_often_as_asked_in_a_drawn_order_and_nothing_is_left(
    tmp_path: Path, machine: Machine
) -> None:
    made = experiment(known)
    _, done = run(made, machine, tmp_path)
    assert sorted((it.point, it.repetition) for it in done) == [(p, r) for p in range(4) for r in range(3)]
    assert [it.repetition for it in done] == sorted(it.repetition for it in done)
    assert len({tuple(it.point for it in done if it.repetition == number) for number in range(3)}) > 1
    assert os.listdir(tmp_path) == []


def test_an_interrupted_run_measures_what_is_missing_in_the_same_order(tmp_path: Path, machine: Machine) -> None:
    made = experiment(known)
    _, whole = run(made, machine, tmp_path)
    _, rest = run(made, machine, tmp_path, whole[:5])
    assert [(it.point, it.repetition) for it in rest] == [(it.point, it.repetition) for it in whole[5:]]


def test_what_fails_leaves_nothing_behind(tmp_path: Path, machine: Machine) -> None:
    def fails(laboratory: Laboratory, point: Point) -> Iterator[Row]:
        yield from known(laboratory, point)
        raise OSError(28, "no room")

    with pytest.raises(OSError, match="no room"):
        run(experiment(fails), machine, tmp_path)
    assert os.listdir(tmp_path) == []


def giving(row: Row) -> Measure:
    return lambda laboratory, point: iter([dict(row)])


def test_a_row_has_the_columns_that_are_told_and_no_others(tmp_path: Path, machine: Machine) -> None:
    rows: tuple[Row, ...] = ({"size": 1, "shape": "a"}, {"size": 1, "shape": "a", "seconds": 1, "more": 1})
    for row in rows:
        with pytest.raises(ValueError, match="made"):
            run(experiment(giving(row)), machine, tmp_path)
    with pytest.raises(ValueError, match="shows a column"):
        experiment(known, figures=(Figure("It", "line", "size", "missing", "shape"),))


def test_reports_are_read_as_they_were_written_and_merged_by_experiment(tmp_path: Path, machine: Machine) -> None:
    made = experiment(known)
    plan, done = run(made, machine, tmp_path)
    found = report(made, plan, done, taken="2026-01-01T00:00:00+00:00", command="fswatch-builder limits made")
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "made.json").write_bytes(files.as_json(found))
        (tmp_path / name / "made.csv").write_bytes(files.as_csv(found))
    assert results.read([str(tmp_path / "one")]).reports == (found,)
    together = files.merged(results.read([str(tmp_path / "one"), str(tmp_path / "other" / "made.json")]).reports)
    assert {name: len(reports) for name, reports in together.items()} == {"made": 2}
    rows = list(csv.DictReader(io.StringIO((tmp_path / "one" / "made.csv").read_text())))
    assert len(rows) == 12
    assert rows[0] == {"size": "1", "shape": "a", "seconds": "0.5", "repetition": "0", "load": rows[0]["load"]}


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"settings": 1}'])
def test_what_is_no_report_is_told(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(UsageError):
        results.read([str(tmp_path)])
    with pytest.raises(UsageError):
        results.read([str(tmp_path / "x.json")])


def test_a_line_is_fitted_through_points_on_it() -> None:
    line = model.line([(0, 1.0), (10, 3.0), (100, 21.0)])
    assert (line.fixed, line.each, line.error) == pytest.approx((1, 0.2, 0))
    with pytest.raises(ValueError, match="too few different points"):
        model.line([(5, 1.0), (5, 2.0)])
    with pytest.raises(ValueError, match="too few different points"):
        model.line([])


def test_a_plane_is_fitted_through_points_on_it_and_a_line_is_none() -> None:
    points = [(a, b, 1 + 2 * a + 3 * b) for a in (0, 1, 50) for b in (0, 7)]
    plane = model.plane(points)
    assert (plane.fixed, plane.entry, plane.change) == pytest.approx((1, 2, 3))
    with pytest.raises(ValueError, match="too few different points"):
        model.plane([(a, a / 2, 1 + a) for a in (0, 1, 2, 3)])


def test_a_fit_minds_relative_errors() -> None:
    """Two points at each end that are half as much off as they are large: the small ones count as much."""
    line = model.line([(0, 0.001), (0, 0.003), (1_000_000, 1.0), (1_000_000, 3.0)])
    assert line.fixed < 0.003
    assert line.error == pytest.approx(0.5, abs=0.35)


def test_the_model_says_where_the_lines_cross() -> None:
    """Scanning: 1 ms and 1 µs an entry, 5 µs a change. Watching: 3 ms and 10 µs a change. Arming: 1 ms, 3 µs a
    directory."""
    rows: list[Row] = [
        {
            "strategy": strategy,
            "entries": entries,
            "directories": entries // 10,
            "changes": changes,
            "arm_seconds": 0.001 + entries // 10 * 3e-6,
            "seconds": seconds,
        }
        for entries in (100, 10_000, 1_000_000)
        for changes in (0, entries // 10, entries // 2)
        for strategy, seconds in (
            ("scan", 0.001 + entries * 1e-6 + changes * 5e-6),
            ("inotify", 0.003 + changes * 1e-5),
        )
    ]
    (found,) = model.models(rows)
    assert found.strategy == "inotify"
    assert found.entries_from() == pytest.approx(2_000)
    # 3 ms have to be spared, at 1 µs less 0.3 µs an entry.
    assert found.entries_from_with_arming() == pytest.approx(0.003 / 0.7e-6)
    # 0.101 s of scanning pay for (0.101 - 0.003) / 5e-6 changes.
    assert found.share_up_to(100_000) == pytest.approx(0.196)
    assert "from 2,000 entries on, from 4,286 on where arming is for one RUN alone" in model.advice(found)
    assert "less than 20% of them change" in model.advice(found)
    assert model.models(rows[:1]) == model.models([]) == []
    recorded = model.costs(rows, describe("/"), "today")
    assert recorded.watching["inotify"].arm.at(1_000) == pytest.approx(0.004)
    with pytest.raises(ValueError, match="too few rows"):
        model.costs([], describe("/"), "today")


def test_what_is_said_elsewhere_is_held_against_what_was_measured() -> None:
    def claim(low: float, high: float, figure: Callable[[Sequence[Row]], float | None]) -> Claim:
        return Claim("it is so", "somebody", low, high, "s", figure)

    rows: list[Row] = [{"size": size, "shape": "a", "seconds": size * 0.5} for size in (1, 2, 3)]
    told = findings(
        (
            claim(0.9, 1.1, lambda rows: middle(rows, "seconds", shape="a")),
            claim(2, 3, lambda rows: middle(rows, "seconds", shape="a")),
            claim(0, 9, lambda rows: middle(rows, "seconds", shape="b")),
        ),
        rows,
    )
    assert [(it.outcome, it.figure) for it in told] == [("reproduced", 1), ("refuted", 1), ("not measured", None)]
    assert str(told[1]) == "refuted, 1 s here: it is so (somebody; 2 to 3 s counts as the same)"
    with pytest.raises(ValueError, match="nothing lies between"):
        claim(2, 1, len)


def test_a_claim_is_in_the_report_with_what_came_of_it(tmp_path: Path, machine: Machine) -> None:
    said = Claim("a point takes a second", "nobody", 0.9, 1.1, "s", lambda rows: middle(rows, "seconds", size=2))
    made = experiment(known, claims=(said,))
    plan, done = run(made, machine, tmp_path)
    found = report(made, plan, done, taken="", command="")
    assert [(it.says, it.figure, it.outcome) for it in found.findings] == [("a point takes a second", 1, "reproduced")]


def test_what_is_varied_within_a_point_is_told_apart_and_sorted(tmp_path: Path, machine: Machine) -> None:
    def measure(laboratory: Laboratory, point: Point) -> Iterator[Row]:
        for share, shape in ((0.5, "b"), (0, "a"), (0.5, "a")):
            yield {**point, "share": share, "shape": shape, "seconds": 1.0 + share}

    columns = (
        Column("size", "B", "how large"),
        Column("share", "", "of it", middle="none"),
        Column("shape", "", "how"),
        Column("seconds", "s", "how long"),
    )
    figures = (Figure("It", "line", "size", "seconds", "shape", only=("share", 0.5)),)
    made = experiment(measure, columns=columns, figures=figures, points=lambda machine: grid(size=(2, 1)))
    plan, done = run(made, machine, tmp_path)
    told = [
        (row["size"], row["share"], row["shape"]) for row in middles(report(made, plan, done, taken="", command=""))
    ]
    of_each = [(0, "a"), (0.5, "a"), (0.5, "b")]
    assert told == [(size, *rest) for size in (2, 1) for rest in of_each]


def test_the_mean_of_what_is_or_is_not_is_how_often(tmp_path: Path, machine: Machine) -> None:
    counted = iter([0, 1, 1, 0])
    columns = (*COLUMNS, Column("lost", "", "1 if so", middle="mean"))
    made = experiment(
        lambda laboratory, point: iter([{**point, "seconds": 1.0, "lost": next(counted)}]),
        columns=columns,
        points=lambda machine: grid(size=(1,), shape=("a",)),
        repeat=4,
    )
    plan, done = run(made, machine, tmp_path)
    assert [row["lost"] for row in middles(report(made, plan, done, taken="", command=""))] == [0.5]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"needs_root": "of that"}, "it needs root: of that"),
        ({"changes_host": "it sets a limit"}, "it sets a limit, and that has to be allowed with --change-host"),
        ({"programs": ("sh", "no-such-program")}, "it needs no-such-program, not found on PATH"),
        ({"points": lambda machine: []}, "too few inotify watches are left here for its smallest tree"),
    ],
)
def test_what_cannot_be_done_here_is_known_beforehand(machine: Machine, changes: Changes, why: str) -> None:
    ordinary = replace(machine, is_root=False)
    assert possible.obstacle(experiment(known), ordinary, may_change_host=False) is None
    found = possible.obstacle(experiment(known, **changes), ordinary, may_change_host=False)
    assert found is not None
    assert found.startswith(why)


def test_what_changes_the_machine_is_done_where_that_is_allowed(machine: Machine) -> None:
    made = experiment(known, changes_host="it sets a limit")
    assert possible.obstacle(made, machine, may_change_host=True) is None


def test_too_little_disk_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    made = experiment(known, takes=lambda point: int(number(point["size"])) << 60)
    with pytest.raises(BuildError, match="MiB left, and experiment made takes 2,199,023,255,616 MiB"):
        possible.check_room(str(tmp_path), [(made, [{"size": 1}, {"size": 2}])])
    possible.check_room(str(tmp_path), [(experiment(known), [{"size": 2}])])


def test_ctrl_c_ends_what_runs_beside_an_experiment_and_is_not_its_own_business() -> None:
    beside = child("while True: pass")
    assert os.getsid(beside.pid) == beside.pid
    with pytest.raises(KeyboardInterrupt), beside:
        raise KeyboardInterrupt
    assert beside.returncode == -signal.SIGKILL
