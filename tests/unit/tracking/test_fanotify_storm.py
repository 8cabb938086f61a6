"""Writes so many that to look at the whole tree is cheaper than to be told of them: then of none is told."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fswatch_builder._native import Baseline, FilesystemMark, HintSet, Rootfs
from fswatch_builder.changes.widen import widen
from fswatch_builder.tracking.strategies.fanotify import FanotifySession, FanotifyTracker
from tests.support.confined import run_confined
from tests.support.hints import baseline_of, covers
from tests.support.storms import FILES, make_many, silent_groups, storm, truncate_all
from tests.support.system_calls import set_modification_time

pytestmark = pytest.mark.root

LOST = [("write-storm", b"")]


class Tracked:
    """A tree with ``d/f``, ``d/g`` and many files beside them, and the session that watches it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        make_many(root / "many")
        (root / "d").mkdir()
        for name in ("f", "g"):
            (root / "d" / name).write_text("long enough")
        self.rootfs = Rootfs(os.fsencode(root))
        self.baseline: Baseline = baseline_of(self.rootfs)
        self.session: FanotifySession = FanotifyTracker().arm(self.rootfs, self.baseline)

    def storm(self) -> None:
        storm(self.root / "many")

    def step(self) -> tuple[HintSet, set[bytes]]:
        """Hints, and the paths of what changed."""
        hints = self.session.settle()
        changes = self.baseline.reconcile(self.rootfs, widen(hints)[0])
        self.baseline.advance(changes)
        self.session.advance(self.baseline, changes)
        return hints, {change.path for change in changes.changes}


@pytest.fixture
def tracked(tmp_path: Path) -> Iterator[Tracked]:
    tracked = Tracked(tmp_path / "root")
    yield tracked
    tracked.session.close()


def test_what_raises_modify_alone_is_found_after_a_storm(tracked: Tracked) -> None:
    tracked.storm()
    os.truncate(tracked.root / "d/f", 3)
    os.close(os.open(tracked.root / "d/g", os.O_RDONLY | os.O_TRUNC))
    set_modification_time(os.fspath(tracked.root / "d"), 1)
    hints, changed = tracked.step()
    assert hints.losses == LOST
    assert changed >= {b"d", b"d/f", b"d/g"}


def test_a_write_through_a_descriptor_that_stays_open_is_found_after_a_storm(tracked: Tracked) -> None:
    before = os.open(tracked.root / "d/f", os.O_WRONLY)
    tracked.storm()
    during = os.open(tracked.root / "d/g", os.O_WRONLY)
    try:
        for file in (before, during):
            os.write(file, b"changed")
        assert tracked.step()[1] >= {b"d/f", b"d/g"}
        # In the next step they are told of again, whenever they were opened.
        for file in (before, during):
            os.write(file, b"again")
        hints = tracked.session.settle()
        assert (hints.hints, hints.losses) == ([(b"d/f", "entry"), (b"d/g", "entry")], [])
    finally:
        os.close(before)
        os.close(during)


def test_every_settle_up_to_the_next_step_has_lost_the_root(tracked: Tracked) -> None:
    tracked.storm()
    assert tracked.session.settle().losses == LOST
    os.truncate(tracked.root / "d/f", 3)
    for _ in range(2):
        assert tracked.session.settle().losses == LOST


def test_the_next_step_is_told_of_all_again_and_loses_nothing(tracked: Tracked) -> None:
    tracked.storm()
    tracked.step()
    assert silent_groups() == 0
    hints = tracked.session.settle()
    assert (hints.hints, hints.losses) == ([], [])
    os.truncate(tracked.root / "d/f", 3)
    assert tracked.session.settle().hints == [(b"d/f", "entry")]


def test_each_step_has_a_storm_of_its_own(tracked: Tracked) -> None:
    for size in (5, 4, 3):
        tracked.storm()
        os.truncate(tracked.root / "d/f", size)
        hints, changed = tracked.step()
        assert hints.losses == LOST
        assert b"d/f" in changed
        hints, changed = tracked.step()
        assert (hints.losses, changed) == ([], set())


def test_a_small_storm_changes_nothing(tracked: Tracked) -> None:
    truncate_all(tracked.root / "many")
    os.truncate(tracked.root / "d/f", 3)
    hints = tracked.session.settle()
    assert silent_groups() == 0
    assert hints.losses == []
    assert len(hints.hints) == FILES + 1
    assert covers(hints, b"d/f")


def test_a_storm_in_one_tree_leaves_the_session_of_another_on_the_file_system_alone(
    tracked: Tracked, tmp_path: Path
) -> None:
    other = Tracked(tmp_path / "other")
    try:
        tracked.storm()
        os.truncate(other.root / "d/f", 3)
        os.truncate(tracked.root / "d/f", 3)
        hints, _ = other.step()
        assert (hints.hints, hints.losses) == ([(b"d/f", "entry")], [])
        assert b"d/f" in tracked.step()[1]
        os.truncate(other.root / "d/g", 3)
        assert other.session.settle().hints == [(b"d/g", "entry")]
    finally:
        other.session.close()


def test_a_storm_elsewhere_on_the_file_system_costs_this_tree_nothing(tracked: Tracked) -> None:
    elsewhere = tracked.root.parent / "elsewhere"
    make_many(elsewhere)
    for _ in range(6):
        truncate_all(elsewhere)
    hints = tracked.session.settle()
    assert silent_groups() == 0
    assert (hints.hints, hints.losses) == ([], [])


@pytest.mark.parametrize("name", ["d/f", "new"])
def test_one_file_written_without_end_is_a_storm_whether_it_is_new_or_not(tracked: Tracked, name: str) -> None:
    """It is muted first, and listened to now and then: by a reader on another processor than the writer's."""
    limit = time.monotonic() + 60
    writer = ["dd", "if=/dev/zero", f"of={name}", "bs=1", "conv=notrunc", "status=none"]
    with subprocess.Popen(writer, cwd=tracked.root) as process:
        try:
            while silent_groups() == 0:
                assert time.monotonic() < limit
        finally:
            process.kill()
    os.truncate(tracked.root / "d/g", 3)
    hints, changed = tracked.step()
    assert hints.losses == LOST
    assert changed >= {os.fsencode(name), b"d/g"}


WITHOUT_HANDLES = """
import json, os, subprocess, sys, time
from fswatch_builder._native import Rootfs
from fswatch_builder.tracking.strategies.fanotify import FanotifyTracker
from tests.support.hints import baseline_of
rootfs = Rootfs(os.fsencode(sys.argv[-1]))
session = FanotifyTracker().arm(rootfs, baseline_of(rootfs))
limit = time.monotonic() + 60
with subprocess.Popen(["dd", "if=/dev/zero", "of=d/f", "bs=1", "status=none"], cwd=sys.argv[-1]) as process:
    try:
        while not session.settle().losses:
            assert time.monotonic() < limit
    finally:
        process.kill()
print(json.dumps([[reason, os.fsdecode(path)] for reason, path in session.settle().losses]))
session.close()
"""


def test_a_file_that_cannot_be_muted_is_a_storm_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/f").touch()
    assert run_confined(WITHOUT_HANDLES, str(tmp_path), capabilities=["sys_admin"]) == [["write-storm", ""]]


def test_who_asks_for_processes_is_told_of_every_write(tracked: Tracked) -> None:
    tracked.session.close()
    mark = FilesystemMark(tracked.rootfs, tracked.baseline, programs_on=[])
    for _ in range(6):
        truncate_all(tracked.root / "many")
    assert mark.settle(tracked.baseline).losses == []
    assert silent_groups() == 0
    mark.close()
