import errno
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from fswatch_builder._native import Baseline, Rootfs
from fswatch_builder.errors import TrackingError, UsageError
from fswatch_builder.tracking import selection
from fswatch_builder.tracking.protocol import Capability, Session, Tracker
from fswatch_builder.tracking.registry import trackers
from fswatch_builder.tracking.selection import PREFERRED, select
from fswatch_builder.tracking.strategies import inotify


class Unusable:
    in_place = True
    anonymous = "it is a test"
    on_overlay = True

    def __init__(self, name: str) -> None:
        self.name = name

    def probe(self, rootfs: Rootfs) -> Capability:
        return Capability(usable=False, reason="the file system reports no events")

    def arm(self, rootfs: Rootfs, baseline: Baseline) -> Session:
        raise AssertionError("armed though it cannot work")


@pytest.fixture(autouse=True)
def _of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a small tree would change is tested in test_break_even.py."""
    monkeypatch.setattr(selection, "dearer_than_scan", lambda tracker, baseline, runs: None)


@pytest.fixture
def rootfs(tmp_path: Path) -> Rootfs:
    return Rootfs(os.fsencode(tmp_path))


def lack(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    known: Mapping[str, Tracker] = MappingProxyType({**trackers(), **{name: Unusable(name) for name in names}})
    monkeypatch.setattr(selection, "trackers", lambda: known)


@pytest.fixture
def no_inotify(monkeypatch: pytest.MonkeyPatch) -> None:
    lack(monkeypatch, "fanotify", "inotify")


def test_every_file_in_strategies_is_a_tracker_under_its_own_name() -> None:
    found = trackers()
    assert set(PREFERRED) <= set(found)
    assert all(name == tracker.name for name, tracker in found.items())


def test_a_tracker_loads_no_other() -> None:
    script = (
        "import sys; from fswatch_builder.tracking.registry import trackers; trackers()['overlay']; print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert "fswatch_builder.tracking.strategies.overlay" in loaded
    assert not {"fswatch_builder.tracking.strategies.inotify", "inotify_simple", "ctypes"} & set(loaded)


@pytest.mark.root
def test_auto_prefers_fanotify_and_says_why(rootfs: Rootfs) -> None:
    chosen = select("auto", rootfs, Baseline.empty(rootfs))
    assert chosen.tracker.name == "fanotify"
    assert chosen.why == ("fanotify: one mark covers the file system",)


def test_auto_takes_inotify_where_fanotify_cannot_work_and_says_why_of_both(
    rootfs: Rootfs, monkeypatch: pytest.MonkeyPatch
) -> None:
    lack(monkeypatch, "fanotify")
    chosen = select("auto", rootfs, Baseline.empty(rootfs))
    assert chosen.tracker.name == "inotify"
    assert chosen.why == (
        "fanotify: the file system reports no events",
        "inotify: the file system reports events",
    )


def test_auto_falls_back_and_says_why(rootfs: Rootfs, no_inotify: None) -> None:
    chosen = select("auto", rootfs, Baseline.empty(rootfs))
    assert chosen.tracker.name == "scan"
    assert chosen.why[:2] == (
        "fanotify: the file system reports no events",
        "inotify: the file system reports no events",
    )


def test_auto_takes_the_scan_where_hard_links_cannot_be_counted(
    rootfs: Rootfs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    lack(monkeypatch, "fanotify")
    monkeypatch.setattr(inotify, "probe_link_witness", refuse)
    known = {**trackers(), "fanotify": Unusable("fanotify")}
    monkeypatch.setattr(selection, "trackers", lambda: known)
    chosen = select("auto", rootfs, Baseline.empty(rootfs))
    assert chosen.tracker.name == "scan"
    assert chosen.why[1].startswith("inotify: the file system reports events, but hard links cannot be counted here")
    assert select("inotify", rootfs, Baseline.empty(rootfs)).tracker.name == "inotify"


def test_a_tracker_asked_for_by_name_never_falls_back(rootfs: Rootfs, no_inotify: None) -> None:
    with pytest.raises(TrackingError, match="the inotify tracker cannot be used: the file system reports no events"):
        select("inotify", rootfs, Baseline.empty(rootfs))


def test_an_unknown_name_lists_the_known_ones(rootfs: Rootfs) -> None:
    with pytest.raises(UsageError, match="no tracker 'fanotofy'") as caught:
        select("fanotofy", rootfs, Baseline.empty(rootfs))
    assert ", ".join(("auto", *trackers())) in str(caught.value.hint)


def test_too_few_watches_are_told_of(rootfs: Rootfs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "watch_budget", lambda needed: 0)
    chosen = select("inotify", rootfs, Baseline.empty(rootfs))
    assert "room for 0 of 1 watches" in chosen.why[1]
