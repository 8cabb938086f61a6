"""The real experiments: what is known to come out of them."""

from pathlib import Path

import pytest

from fswatch_builder.research.limits.claims import findings
from fswatch_builder.research.limits.experiment import Laboratory, Row, Scalar
from fswatch_builder.research.limits.registry import experiments
from fswatch_builder.research.machine import Machine
from tests.unit.research.test_limits import number


def test_every_question_of_the_field_has_an_experiment() -> None:
    """R1 and R2: watches; R3: idle; R4: overflow, queue-limit; R5: recovery; R6: newdirs; R7: renames; R8: reports,
    foreign; R9: double-walk; R10: shared."""
    names = (
        "watches idle overflow queue-limit recovery newdirs renames reports foreign double-walk shared "
        "reader scan shares latency coalescing clock break-even"
    )
    assert set(names.split()) == set(experiments())


@pytest.mark.parametrize("name", sorted(experiments()))
def test_claims_and_figures_can_be_read_off_rows_that_say_nothing(name: str) -> None:
    made = experiments()[name]
    assert {it.outcome for it in findings(made.claims, ())} <= {"not measured"}


def measure(name: str, tmp_path: Path, machine: Machine, **point: Scalar) -> list[Row]:
    made = experiments()[name]
    return [made.check(row) for row in made.measure(Laboratory(str(tmp_path), machine, 1), point)]


def test_equal_events_are_merged_only_while_the_last_one_is_unread(tmp_path: Path, machine: Machine) -> None:
    def events(pattern: str, every: int) -> Scalar:
        (row,) = measure("coalescing", tmp_path, machine, pattern=pattern, drain_every=every)
        return row["events"]

    assert [events("one file", every) for every in (1, 10, 1_000)] == [1_000, 100, 1]
    assert events("two files in turns", 1_000) == 1_000


def test_a_queue_that_nobody_reads_takes_what_it_takes_and_says_that_more_came(
    tmp_path: Path, machine: Machine
) -> None:
    depth = machine.queued_events
    (kept,) = measure("overflow", tmp_path, machine, burst=depth, interval_ms=-1)
    assert (kept["lost"], kept["overflows"]) == (0, 0)
    (lost,) = measure("overflow", tmp_path, machine, burst=depth + 1, interval_ms=-1)
    assert (lost["arrived"], lost["lost"], lost["overflows"]) == (depth, 1, 1)


def test_hints_and_a_baseline_miss_no_file_in_a_new_directory(tmp_path: Path, machine: Machine) -> None:
    (row,) = measure("newdirs", tmp_path, machine, depth=16, watcher="hints and baseline")
    assert (row["files"], row["missed"]) == (800, 0)


def test_after_a_loss_the_same_is_found_at_the_price_of_the_tree(tmp_path: Path, machine: Machine) -> None:
    (whole,) = measure("recovery", tmp_path, machine, files=1_000, lost=False)
    (tmp_path / "again").mkdir()
    (lost,) = measure("recovery", tmp_path / "again", machine, files=1_000, lost=True)
    assert (whole["losses"], lost["losses"]) == (0, 1)
    # A hundred files and their directory; the directory's time too.
    assert whole["changes"] == lost["changes"] == 101
    assert number(whole["looked_at"]) < 200 < 1_000 < number(lost["looked_at"])


def test_watching_sets_a_watch_for_each_directory(tmp_path: Path, machine: Machine) -> None:
    for method, shape in (("list", "wide"), ("path", "deep"), ("list", "flat")):
        place = tmp_path / f"{method}-{shape}"
        place.mkdir()
        (row,) = measure("watches", place, machine, directories=500, shape=shape, method=method)
        assert row["watches"] == 501


@pytest.mark.root
def test_a_mark_is_one_for_a_tree_of_any_size(tmp_path: Path, machine: Machine) -> None:
    (row,) = measure("watches", tmp_path, machine, directories=500, shape="wide", method="mark")
    assert row["watches"] == 1


@pytest.mark.parametrize("act", ["create", "write"])
def test_every_change_is_heard_of_after_it_began(tmp_path: Path, machine: Machine, act: str) -> None:
    (row,) = measure("latency", tmp_path, machine, act=act, interval_ms=20)
    assert row["samples"] == 200
    assert 0 < number(row["median_us"]) <= number(row["p90_us"]) <= number(row["max_us"])


@pytest.mark.parametrize("reader", ["poll", "at the end"])
def test_a_reader_of_an_untar_gets_an_event_for_every_file(tmp_path: Path, machine: Machine, reader: str) -> None:
    (row,) = measure("reader", tmp_path, machine, reader=reader)
    assert row["slowdown"] == number(row["seconds"]) / number(row["unwatched_seconds"])
    assert row["overflows"] or number(row["events"]) >= 2 * 5_900
    assert (row["drains"] == 1) == (reader == "at the end")


def test_a_scan_looks_at_everything_and_finds_nothing(tmp_path: Path, machine: Machine) -> None:
    (row,) = measure("scan", tmp_path, machine, files=1_000, threads=2)
    # The root too.
    assert (row["looked_at"], row["changes"]) == (number(row["entries"]) + 1, 0)


def test_a_double_walk_reads_both_trees_where_hints_read_ten_files(tmp_path: Path, machine: Machine) -> None:
    rows = {row["method"]: row for row in measure("double-walk", tmp_path, machine, mebibytes=16)}
    assert {row["missed"] for row in rows.values()} == {0}
    looked_at = {method: number(row["looked_at"]) for method, row in rows.items()}
    assert looked_at["hints"] < looked_at["one walk"] == looked_at["double walk"]
    assert rows["double walk"]["read_bytes"] == 0
    assert rows["double walk, contents"]["read_bytes"] == 16 << 20
    assert rows["hints"]["read_bytes"] == 10 << 20


def test_shares_of_a_build_are_told_for_watching_and_for_every_way_to_scan(tmp_path: Path, machine: Machine) -> None:
    rows = measure("shares", tmp_path, machine, files=100)
    assert {row["strategy"] for row in rows} > {"scan-hash", "scan-meta", "scan"}
    assert all(0 < number(row["find_share"]) < number(row["snapshot_share"]) < 1 for row in rows)


@pytest.mark.root
def test_what_others_do_on_the_file_system_gives_events_and_no_hint(tmp_path: Path, machine: Machine) -> None:
    (row,) = measure("foreign", tmp_path, machine, files=1_000, mark=True)
    assert row["hints"] == 0
    assert number(row["events"]) >= 1_000


@pytest.mark.root
@pytest.mark.parametrize("kind", ["here", "tmpfs", "overlay", "bind mount"])
def test_all_changes_are_found_but_the_one_that_links_are_counted_for(
    tmp_path: Path, machine: Machine, kind: str
) -> None:
    rows = measure("reports", tmp_path, machine, file_system=kind, tracker="inotify")
    assert len(rows) > 20
    assert [row["operation"] for row in rows if not row["found"]] == ["write through a link that goes"]
    assert all(row["told"] for row in rows if row["changes"])


@pytest.mark.root
def test_fanotify_finds_that_one_too_and_says_where_it_cannot_work(tmp_path: Path, machine: Machine) -> None:
    assert all(row["found"] for row in measure("reports", tmp_path, machine, file_system="tmpfs", tracker="fanotify"))
    (tmp_path / "again").mkdir()
    (row,) = measure("reports", tmp_path / "again", machine, file_system="overlay", tracker="fanotify")
    assert "cannot be used" in str(row["problem"])
