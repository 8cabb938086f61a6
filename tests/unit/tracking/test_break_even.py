"""What `auto` goes by: a model of what watching and scanning cost, fitted to rows that are kept beside it."""

import os
from pathlib import Path

import pytest

from benchmarks.break_even import fitted
from fswatch_builder._native import Baseline, Rootfs
from fswatch_builder.research.results import read
from fswatch_builder.tracking import selection
from fswatch_builder.tracking.break_even import Costs, Line, Plane, Watching, recorded
from fswatch_builder.tracking.selection import select
from tests.support.hints import baseline_of

ROWS = Path(__file__).parents[3] / "benchmarks" / "results" / "limits-tmpfs" / "break-even.json"

MADE = Costs(
    "a machine",
    "a day",
    scan=Plane(0.0001, 0.000001, 0, 0),
    watching={"inotify": Watching(Line(0.0002, 0.000001, 0), Line(0.0001, 0.00001, 0))},
)
"""0.1 ms and 1 µs an entry, against 0.3 ms and 1 µs a directory."""


def test_the_model_is_the_one_that_its_rows_give() -> None:
    (report,) = read([str(ROWS)]).reports
    assert recorded() == fitted(report)


def test_watching_is_dearer_below_the_break_even_and_not_above() -> None:
    assert MADE.dearer_than_scan("inotify", 200, 1, 1) is not None
    assert MADE.dearer_than_scan("inotify", 210, 1, 1) is None
    assert MADE.dearer_than_scan("inotify", 210, 50, 1) is not None


def test_what_is_paid_once_is_spread_over_all_runs_so_far() -> None:
    """0.2 ms once and 0.1 ms each, against 0.15 ms each."""
    assert MADE.dearer_than_scan("inotify", 50, 0, 3) == (
        "to look at all 50 entries 3 times takes less than to watch them (about 0.45 ms and 0.5 ms)"
    )
    assert MADE.dearer_than_scan("inotify", 50, 0, 4) is None


def test_a_tracker_that_the_model_does_not_know_is_never_dearer() -> None:
    assert MADE.dearer_than_scan("overlay", 1, 1, 1) is None


@pytest.mark.parametrize("tracker", ["fanotify", "inotify"])
def test_the_recorded_model_watches_trees_of_a_distribution_before_long(tracker: str) -> None:
    assert recorded().dearer_than_scan(tracker, 10_000, 1_000, 20) is None


def tree(directory: Path, files: int) -> tuple[Rootfs, Baseline]:
    for number in range(files):
        (directory / str(number)).touch()
    rootfs = Rootfs(os.fsencode(directory))
    return rootfs, baseline_of(rootfs)


def test_auto_scans_a_small_tree_and_says_what_it_spares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fswatch_builder.tracking.break_even.recorded", lambda: MADE)
    monkeypatch.setattr(selection, "PREFERRED", ("inotify", "scan"))
    rootfs, small = tree(tmp_path, 9)
    chosen = select("auto", rootfs, small)
    assert chosen.tracker.name == "scan"
    assert chosen.why == (
        "inotify: to look at all 9 entries once takes less than to watch them (about 0.11 ms and 0.3 ms)",
        "scan: looks at every entry, on any file system",
    )
    assert not chosen.outgrown(small, 2)
    _, large = tree(tmp_path, 300)
    assert chosen.outgrown(large, 2)
    assert select("auto", rootfs, large).tracker.name == "inotify"


def test_a_tracker_asked_for_by_name_is_taken_whatever_it_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fswatch_builder.tracking.break_even.recorded", lambda: MADE)
    rootfs, small = tree(tmp_path, 9)
    assert select("inotify", rootfs, small).tracker.name == "inotify"
