"""The machinery of experiments, with made ones; and what is known to come out of the real ones."""

import csv
import io
import os

import pytest

from fswatch_builder.errors import UsageError
from fswatch_builder.research import results
from fswatch_builder.research.limits import files, model
from fswatch_builder.research.limits.experiment import Column, Experiment, Figure, Laboratory, grid, no_more
from fswatch_builder.research.limits.registry import experiments
from fswatch_builder.research.limits.run import measured, report, settings
from fswatch_builder.research.machine import describe

COLUMNS = (Column("size", "B", "how large"), Column("shape", "", "how"), Column("seconds", "s", "how long"))


def experiment(measure, **changes):
    given = {
        "name": "made",
        "asks": "Why?",
        "method": "By asking.",
        "columns": COLUMNS,
        "figures": (Figure("It", "line", "size", "seconds", "shape"),),
        "points": lambda machine: grid(size=(1, 2), shape=("a", "b")),
        "more": no_more,
        "measure": measure,
        "repeat": 3,
    }
    return Experiment(**{**given, **changes})


def known(laboratory, point):
    with open(os.path.join(laboratory.directory, "left behind"), "w"):
        yield {**point, "seconds": point["size"] * 0.5}


@pytest.fixture
def machine(tmp_path):
    return describe(str(tmp_path))


def run(made, machine, directory, done=()):
    plan = settings(made, made.points(machine), made.repeat, 1, machine)
    return plan, list(measured(made, plan, str(directory), done))


def test_every_point_is_measured_as_often_as_asked_in_a_drawn_order_and_nothing_is_left(tmp_path, machine):
    made = experiment(known)
    _, done = run(made, machine, tmp_path)
    assert sorted((it.point, it.repetition) for it in done) == [(p, r) for p in range(4) for r in range(3)]
    assert [it.repetition for it in done] == sorted(it.repetition for it in done)
    assert len({tuple(it.point for it in done if it.repetition == number) for number in range(3)}) > 1
    assert os.listdir(tmp_path) == []


def test_an_interrupted_run_measures_what_is_missing_in_the_same_order(tmp_path, machine):
    made = experiment(known)
    _, whole = run(made, machine, tmp_path)
    _, rest = run(made, machine, tmp_path, whole[:5])
    assert [(it.point, it.repetition) for it in rest] == [(it.point, it.repetition) for it in whole[5:]]


def test_what_fails_leaves_nothing_behind(tmp_path, machine):
    def fails(laboratory, point):
        yield from known(laboratory, point)
        raise OSError(28, "no room")

    with pytest.raises(OSError, match="no room"):
        run(experiment(fails), machine, tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_row_has_the_columns_that_are_told_and_no_others(tmp_path, machine):
    for row in ({"size": 1, "shape": "a"}, {"size": 1, "shape": "a", "seconds": 1, "more": 1}):
        with pytest.raises(ValueError, match="made"):
            run(experiment(lambda laboratory, point, row=row: iter([dict(row)])), machine, tmp_path)
    with pytest.raises(ValueError, match="shows a column"):
        experiment(known, figures=(Figure("It", "line", "size", "missing", "shape"),))


def test_reports_are_read_as_they_were_written_and_merged_by_experiment(tmp_path, machine):
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
def test_what_is_no_report_is_told(tmp_path, content):
    if content is not None:
        (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(UsageError):
        results.read([str(tmp_path)])
    with pytest.raises(UsageError):
        results.read([str(tmp_path / "x.json")])


def test_a_line_is_fitted_through_points_on_it():
    line = model.fit([(0, 1.0), (10, 3.0), (100, 21.0)])
    assert (line.fixed, line.each, line.error) == (pytest.approx(1), pytest.approx(0.2), pytest.approx(0))
    with pytest.raises(ValueError, match="two points"):
        model.fit([(5, 1.0), (5, 2.0)])


def test_the_model_says_where_the_lines_cross():
    """Scanning: 1 ms and 1 µs an entry. Watching: 3 ms and 10 µs a change."""
    rows = [
        {"strategy": strategy, "entries": entries, "changes": changes, "seconds": seconds}
        for entries in (100, 10_000, 1_000_000)
        for changes in (0, entries // 10, entries // 2)
        for strategy, seconds in (("scan", 0.001 + entries * 1e-6), ("inotify", 0.003 + changes * 1e-5))
    ]
    (found,) = model.models(rows)
    assert found.strategy == "inotify"
    assert found.entries_from() == pytest.approx(2_000)
    # 0.101 s of scanning pay for (0.101 - 0.003) / 1e-5 changes.
    assert found.share_up_to(100_000) == pytest.approx(0.098)
    assert "from 2,000 entries on" in model.advice(found)
    assert "less than 10% of them change" in model.advice(found)
    assert model.models(rows[:1]) == []


def test_every_question_of_the_field_has_an_experiment():
    """R1 and R2: watches; R3: idle; R4: overflow; R5: recovery; R6: newdirs; R7: renames; R8: reports, foreign; R9:
    break-even; R10: shared."""
    names = {
        "watches",
        "idle",
        "overflow",
        "recovery",
        "newdirs",
        "renames",
        "reports",
        "foreign",
        "break-even",
        "shared",
    }
    assert names <= set(experiments())


def measure(name, tmp_path, machine, **point):
    made = experiments()[name]
    return [made.check(row) for row in made.measure(Laboratory(str(tmp_path), machine, 1), point)]


def test_equal_events_are_merged_only_while_the_last_one_is_unread(tmp_path, machine):
    def events(pattern, every):
        (row,) = measure("coalescing", tmp_path, machine, pattern=pattern, drain_every=every)
        return row["events"]

    assert [events("one file", every) for every in (1, 10, 1_000)] == [1_000, 100, 1]
    assert events("two files in turns", 1_000) == 1_000


def test_a_queue_that_nobody_reads_takes_what_it_takes_and_says_that_more_came(tmp_path, machine):
    depth = machine.queued_events
    (kept,) = measure("overflow", tmp_path, machine, burst=depth, interval_ms=-1)
    assert (kept["lost"], kept["overflows"]) == (0, 0)
    (lost,) = measure("overflow", tmp_path, machine, burst=depth + 1, interval_ms=-1)
    assert (lost["arrived"], lost["lost"], lost["overflows"]) == (depth, 1, 1)


def test_hints_and_a_baseline_miss_no_file_in_a_new_directory(tmp_path, machine):
    (row,) = measure("newdirs", tmp_path, machine, depth=16, watcher="hints and baseline")
    assert (row["files"], row["missed"]) == (800, 0)


def test_after_a_loss_the_same_is_found_at_the_price_of_the_tree(tmp_path, machine):
    (whole,) = measure("recovery", tmp_path, machine, files=1_000, lost=False)
    (tmp_path / "again").mkdir()
    (lost,) = measure("recovery", tmp_path / "again", machine, files=1_000, lost=True)
    assert (whole["losses"], lost["losses"]) == (0, 1)
    # A hundred files and their directory; the directory's time too.
    assert whole["changes"] == lost["changes"] == 101
    assert whole["looked_at"] < 200 < 1_000 < lost["looked_at"]


def test_watching_sets_a_watch_for_each_directory(tmp_path, machine):
    for method, shape in (("list", "wide"), ("path", "deep")):
        place = tmp_path / method
        place.mkdir()
        (row,) = measure("watches", place, machine, directories=500, shape=shape, method=method)
        assert row["watches"] == 501


@pytest.mark.root
def test_what_others_do_on_the_file_system_gives_events_and_no_hint(tmp_path, machine):
    (row,) = measure("foreign", tmp_path, machine, files=1_000, mark=True)
    assert row["hints"] == 0
    assert row["events"] >= 1_000


@pytest.mark.root
@pytest.mark.parametrize("kind", ["here", "tmpfs", "overlay"])
def test_all_changes_are_found_but_the_one_that_links_are_counted_for(tmp_path, machine, kind):
    rows = measure("reports", tmp_path, machine, file_system=kind, tracker="inotify")
    assert len(rows) > 20
    assert [row["operation"] for row in rows if not row["found"]] == ["write through a link that goes"]
    assert all(row["told"] for row in rows if row["changes"])


@pytest.mark.root
def test_fanotify_finds_that_one_too_and_says_where_it_cannot_work(tmp_path, machine):
    assert all(row["found"] for row in measure("reports", tmp_path, machine, file_system="tmpfs", tracker="fanotify"))
    (tmp_path / "again").mkdir()
    (row,) = measure("reports", tmp_path / "again", machine, file_system="overlay", tracker="fanotify")
    assert "cannot be used" in row["problem"]
