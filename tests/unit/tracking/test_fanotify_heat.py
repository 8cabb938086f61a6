"""A file that is written to without end, of which the kernel is asked to tell no more until the next step."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fswatch_builder._native import Baseline, FilesystemMark, HintSet, Rootfs
from fswatch_builder.tracking.strategies.fanotify import FanotifySession, FanotifyTracker
from tests.support.hints import baseline_of, covers

pytestmark = pytest.mark.root


class Tracked:
    """A tree with ``d/f`` (also ``d/twin`` and ``../outside``) and ``d/g``, and the session that watches it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "d").mkdir(parents=True)
        for name in ("f", "g"):
            (root / "d" / name).write_text("long enough" * 100)
        os.link(root / "d/f", root / "d/twin")
        os.link(root / "d/f", root.parent / "outside")
        self.rootfs = Rootfs(os.fsencode(root))
        self.baseline: Baseline = baseline_of(self.rootfs)
        self.session: FanotifySession = FanotifyTracker().arm(self.rootfs, self.baseline)

    def truncate(self, name: str) -> None:
        """Raises MODIFY and nothing else."""
        os.truncate(self.root / name, os.stat(self.root / name).st_size - 1)

    def settle(self) -> HintSet:
        hints = self.session.settle()
        assert hints.losses == []
        return hints

    def step(self) -> HintSet:
        hints = self.settle()
        changes = self.baseline.reconcile(self.rootfs, hints)
        self.baseline.advance(changes)
        self.session.advance(self.baseline, changes)
        return hints

    def tells_of_a_truncation(self, name: str) -> bool:
        """Whether it is hinted at in this step, and was not before."""
        assert not covers(self.settle(), os.fsencode(name))
        self.truncate(name)
        return covers(self.settle(), os.fsencode(name))


@pytest.fixture
def tracked(tmp_path: Path) -> Iterator[Tracked]:
    tracked = Tracked(tmp_path / "root")
    yield tracked
    tracked.session.close()


def muted() -> set[int]:
    """Inodes with a mark of ours that ignores MODIFY."""
    found = set()
    for descriptor in os.listdir("/proc/self/fdinfo"):
        try:
            text = Path("/proc/self/fdinfo", descriptor).read_text()
        except FileNotFoundError:  # the one of the listing
            continue
        for line in text.splitlines():
            if line.startswith("fanotify ino:") and "ignored_mask:2" in line.split():
                found.add(int(line.split()[1].removeprefix("ino:"), 16))
    return found


def heat(path: Path) -> int:
    """Writes until the kernel tells no more; the number of the inode."""
    limit = time.monotonic() + 30
    with path.open("r+b", buffering=0) as file:
        number = os.fstat(file.fileno()).st_ino
        while number not in muted():
            assert time.monotonic() < limit
            for _ in range(100):
                os.pwrite(file.fileno(), b"x", 0)
    return number


def test_a_truncation_of_a_muted_file_is_covered_and_every_settle_up_to_the_next_step_hints_at_it(
    tracked: Tracked,
) -> None:
    heat(tracked.root / "d/f")
    tracked.settle()
    before = os.stat(tracked.root / "d/f").st_size
    tracked.truncate("d/f")
    for _ in range(2):
        assert tracked.settle().hints == [(b"d/f", "entry"), (b"d/twin", "entry")]
    tracked.step()
    entry = tracked.baseline.entry(b"d/f")
    assert entry is not None
    assert entry.size == before - 1
    assert muted() == set()
    assert tracked.settle().hints == []
    assert tracked.tells_of_a_truncation("d/f")


def test_other_files_go_on_being_told_of(tracked: Tracked) -> None:
    heat(tracked.root / "d/f")
    assert tracked.tells_of_a_truncation("d/g")


def test_all_else_that_happens_to_a_muted_file_is_told(tracked: Tracked) -> None:
    heat(tracked.root / "d/f")
    tracked.settle()
    os.rename(tracked.root / "d/f", tracked.root / "moved")
    hints = tracked.step()
    assert covers(hints, b"moved")
    assert covers(hints, b"d/f")
    assert tracked.tells_of_a_truncation("moved")


def test_a_muted_file_written_through_a_link_outside_is_hinted_under_all_names(tracked: Tracked) -> None:
    heat(tracked.root / "d/f")
    tracked.settle()
    os.truncate(tracked.root.parent / "outside", 5)
    hints = tracked.step()
    assert covers(hints, b"d/f")
    assert covers(hints, b"d/twin")
    os.truncate(tracked.root.parent / "outside", 4)
    assert covers(tracked.settle(), b"d/twin")


def test_the_successor_of_a_muted_file_is_told_of(tracked: Tracked) -> None:
    number = heat(tracked.root / "d/g")
    (tracked.root / "d/g").unlink()
    assert number not in muted(), "the mark keeps a dead inode"
    (tracked.root / "d/g").write_text("another, with the same number perhaps")
    assert covers(tracked.step(), b"d/g")
    assert tracked.tells_of_a_truncation("d/g")


def test_a_file_replaced_by_a_rename_and_muted_again(tracked: Tracked) -> None:
    heat(tracked.root / "d/g")
    (tracked.root / "new").write_text("another")
    os.rename(tracked.root / "new", tracked.root / "d/g")
    heat(tracked.root / "d/g")
    assert covers(tracked.step(), b"d/g")
    assert tracked.tells_of_a_truncation("d/g")


def test_a_file_in_a_new_directory_is_muted_and_known_in_the_next_step(tracked: Tracked) -> None:
    (tracked.root / "n/m").mkdir(parents=True)
    (tracked.root / "n/m/log").write_text("log")
    heat(tracked.root / "n/m/log")
    assert covers(tracked.step(), b"n/m/log")
    assert tracked.tells_of_a_truncation("n/m/log")


def test_a_muted_file_of_somebody_else_gives_no_hint(tracked: Tracked) -> None:
    elsewhere = tracked.root.parent / "elsewhere"
    elsewhere.write_text("x")
    heat(elsewhere)
    assert tracked.step().hints == []
    os.rename(elsewhere, tracked.root / "came")
    assert covers(tracked.step(), b"came")
    assert tracked.tells_of_a_truncation("came")


def test_closing_lets_a_muted_file_go(tracked: Tracked) -> None:
    heat(tracked.root / "d/f")
    tracked.session.close()
    limit = time.monotonic() + 30
    while muted():  # a thread of its own closes
        assert time.monotonic() < limit


def test_who_asks_for_processes_is_told_of_every_writer(tracked: Tracked) -> None:
    tracked.session.close()
    mark = FilesystemMark(tracked.rootfs, tracked.baseline, programs_on=[])
    limit = time.monotonic() + 30
    # One event for each drain.
    with (tracked.root / "d/g").open("r+b", buffering=0) as file:
        while mark.events < 20:
            assert time.monotonic() < limit
            os.pwrite(file.fileno(), b"x", 0)
        number = os.fstat(file.fileno()).st_ino
    assert number not in muted()
    mark.close()
