"""What tracking costs, counted: system calls, not seconds. The seconds are in ``benchmarks/``."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fswatch_builder._native import ChangeSet, HintSet, Rootfs
from fswatch_builder.changes.widen import widen
from fswatch_builder.tracking.protocol import Tracker
from fswatch_builder.tracking.registry import trackers
from tests.support.hints import baseline_of

FILES_PER_DIRECTORY = 100


def tree(directory: Path, entries: int) -> Rootfs:
    directory.mkdir()
    root = os.fsencode(directory)
    for number in range(entries // (FILES_PER_DIRECTORY + 1)):
        below = b"%s/%d" % (root, number)
        os.mkdir(below)
        for name in range(FILES_PER_DIRECTORY):
            os.mknod(b"%s/%d" % (below, name))
    return Rootfs(root)


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> list[Rootfs]:
    """Of 1,000 and of 100,000 entries."""
    place = tmp_path_factory.mktemp("trees")
    return [tree(place / str(entries), entries) for entries in (1_000, 100_000)]


def one_file_step(tracker: Tracker, rootfs: Rootfs) -> ChangeSet:
    baseline = baseline_of(rootfs)
    session = tracker.arm(rootfs, baseline)
    try:
        Path(os.fsdecode(rootfs.path), "3/7").write_bytes(b"written")
        hints, losses = widen(session.settle())
        assert losses == ()
        return baseline.reconcile(rootfs, hints)
    finally:
        session.close()


@pytest.mark.parametrize("name", [name for name, tracker in trackers().items() if tracker.in_place and name != "scan"])
def test_a_step_looks_at_as_many_entries_in_a_large_tree_as_in_a_small_one(trees: list[Rootfs], name: str) -> None:
    tracker = trackers()[name]
    if not (capability := tracker.probe(trees[0])).usable:
        pytest.skip(f"{name}: {capability.reason}")
    costs = []
    for rootfs in trees:
        changes = one_file_step(tracker, rootfs)
        assert [change.path for change in changes.changes] == [b"3/7"]
        costs.append((changes.stats, changes.listings, changes.hashed_files))
    # The root, the directory on the way, the file.
    assert costs == [(3, 0, 0), (3, 0, 0)]


def test_a_scan_that_finds_nothing_looks_once_at_each_entry_and_reads_no_file(tmp_path: Path) -> None:
    rootfs = tree(tmp_path / "tree", 1_000)
    baseline = baseline_of(rootfs)
    everything = HintSet()
    everything.add(b"", "subtree")
    for threads in (1, 2):
        changes = baseline.reconcile(rootfs, everything, threads=threads)
        assert (len(changes), changes.hashed_files, changes.hashed_bytes) == (0, 0, 0)
        assert changes.stats == 1 + len(baseline)
        assert changes.listings == baseline.directories


SCRIPT = """
import os, sys
from fswatch_builder._native import HintSet, Rootfs
from fswatch_builder.tracking.strategies.inotify import InotifyTracker
from tests.support.hints import baseline_of

rootfs = Rootfs(os.fsencode(sys.argv[1]))
baseline = baseline_of(rootfs)
everything = HintSet()
everything.add(b"", "subtree")
os.access("BEGIN scan", 0)
baseline.reconcile(rootfs, everything)
os.access("END scan", 0)
tracker = InotifyTracker()
os.access("BEGIN arm", 0)
session = tracker.arm(rootfs, baseline)
os.access("END arm", 0)
session.close()
"""


def traced(directory: Path, log: Path) -> dict[str, list[str]]:
    """System calls between the marks of the script, by mark. What lies outside the tree is left to the caller."""
    command = ["strace", "-f", "-qq", "-s", "4096", "-o", str(log), sys.executable, "-c", SCRIPT, str(directory)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        if "ptrace" in error.stderr:
            pytest.skip(f"strace may not trace here: {error.stderr.strip()}")
        raise
    calls: dict[str, list[str]] = {}
    part: list[str] | None = None
    for line in log.read_text(errors="replace").splitlines():
        if mark := re.search(r'"(BEGIN|END) (\w+)"', line):
            part = calls.setdefault(mark[2], []) if mark[1] == "BEGIN" else None
        elif part is not None and (call := re.match(r"\d+ +(\w+\(.*)", line)):
            part.append(call[1])
    return calls


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_the_kernel_counts_what_we_count(tmp_path: Path) -> None:
    """By strace, lest the counters of the core flatter it."""
    directory = tmp_path / "tree"
    baseline = baseline_of(tree(directory, 3_000))
    calls = traced(directory, tmp_path / "log")

    scan = [call.split("(")[0] for call in calls["scan"]]
    assert scan.count("statx") == 1 + len(baseline)
    # Each directory once (the root by way of itself); the one more is the scratch file of the clock's probe.
    opened = [
        call for call in calls["scan"] if call.startswith("open") and "O_PATH" not in call and "O_TMPFILE" not in call
    ]
    assert len(opened) == baseline.directories
    assert all("O_DIRECTORY" in call for call in opened)

    arm = [call.split("(")[0] for call in calls["arm"]]
    assert arm.count("inotify_add_watch") == baseline.directories
    in_tree = [call for call in calls["arm"] if os.fsencode(directory).decode() in call]
    assert {call.split("(")[0] for call in in_tree} <= {"inotify_add_watch", "readlinkat", "newfstatat", "stat"}
    assert "getdents64" not in arm
