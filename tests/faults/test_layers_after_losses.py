"""Whatever the tracker lost, the layer is the scan's: both armed together, one run, compared byte for byte."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fswatch_builder import _native as native
from fswatch_builder.changes.widen import widen
from fswatch_builder.tracking.limits import read_limits
from fswatch_builder.tracking.strategies.inotify import InotifyTracker
from fswatch_builder.tracking.strategies.scan import ScanTracker
from tests.conformance import mutations
from tests.support.hints import baseline_of
from tests.support.namespace import run_limited

#: Where a tracker that lost something has most to lose.
HARD = [
    "move_a_directory_and_write_in_it",
    "move_a_directory_and_move_it_back",
    "move_a_directory_into_a_new_one",
    "exchange_two_directories",
    "remove_and_make_the_directory_anew",
    "replace_a_directory_by_a_link_and_back",
    "many_files",
    "a_directory_300_levels_deep",
    "write_through_one_of_three_names",
    "write_through_a_name_and_remove_its_directory",
    "rewrite_same_size_and_restore_mtime",
    "remove_a_tree",
]


@pytest.fixture
def rootfs(tmp_path: Path) -> native.Rootfs:
    root = tmp_path / "rootfs"
    root.mkdir()
    here = os.getcwd()
    try:
        mutations.populate(str(root))
    finally:
        os.chdir(here)
    return native.Rootfs(os.fsencode(root))


def packed(rootfs: native.Rootfs, baseline: native.Baseline, changes: native.ChangeSet, path: Path) -> bytes:
    with open(path, "wb") as file:
        native.pack_layer(rootfs, baseline, changes, file.fileno())
    return path.read_bytes()


def fill_queue(directory: bytes) -> None:
    """As many events as the kernel keeps: two in turn, since equal ones in a row are one. Nothing changes."""
    two = [os.path.join(directory, name) for name in sorted(os.listdir(directory))[:2]]
    times = [os.stat(path) for path in two]
    for _ in range(read_limits().queued_events // 2 + 1):
        for path, status in zip(two, times, strict=True):
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.root
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", HARD)
def test_m3_a_full_queue_costs_a_scan_and_no_change(
    name: str, when: str, rootfs: native.Rootfs, tmp_path: Path
) -> None:
    """The change comes when the queue is full already, or its events are there and the overflow follows."""
    baseline = baseline_of(rootfs)
    scan, inotify = ScanTracker().arm(rootfs, baseline), InotifyTracker().arm(rootfs, baseline)
    try:
        inotify.watches.pause()
        if when == "before":
            fill_queue(os.path.join(rootfs.path, b"wide"))
        subprocess.run([sys.executable, mutations.__file__, name], cwd=os.fsdecode(rootfs.path), check=True)
        if when == "after":
            fill_queue(os.path.join(rootfs.path, b"wide"))
        hints, losses = widen(inotify.settle())
        assert ("queue-overflow", b"") in losses
        layers = {}
        for tracker, found in (("scan", scan.settle()), ("inotify", hints)):
            changes = baseline.reconcile(rootfs, found)
            layers[tracker] = packed(rootfs, baseline, changes, tmp_path / tracker)
        assert layers["inotify"] == layers["scan"]
        # Watching goes on, and in the right places.
        baseline.advance(changes)
        inotify.advance(baseline, changes)
        inotify.watches.resume()
        last = baseline.paths()[-1]
        os.utime(os.path.join(rootfs.path, last), (5, 5), follow_symlinks=False)
        again, losses = widen(inotify.settle())
        assert losses == ()
        assert last in [change.path for change in baseline.reconcile(rootfs, again).changes]
    finally:
        inotify.close()
        scan.close()


UNDER_A_LIMIT = """
import hashlib, subprocess
from pathlib import Path
from fswatch_builder import _native as native
from fswatch_builder.changes.widen import widen
from fswatch_builder.tracking.registry import trackers
from tests.conformance import mutations
from tests.support.hints import baseline_of
root, name = Path(sys.argv[2]), sys.argv[3]
(root / "rootfs").mkdir()
mutations.populate(str(root / "rootfs"))
rootfs = native.Rootfs(os.fsencode(root / "rootfs"))
baselines = {name: baseline_of(rootfs) for name in trackers()}
sessions = {name: tracker.arm(rootfs, baselines[name]) for name, tracker in trackers().items()}
layers, lost = [], []
for step in (name, "append", "create_a_file"):
    subprocess.run([sys.executable, mutations.__file__, step], cwd=root / "rootfs", check=True)
    found = {}
    for tracker, session in sessions.items():
        hints, losses = widen(session.settle())
        found[tracker] = baselines[tracker].reconcile(rootfs, hints)
        lost += [reason for reason, _ in losses]
    digests = {}
    for tracker, changes in found.items():
        with open(root / tracker, "wb") as file:
            digests[tracker] = native.pack_layer(rootfs, baselines[tracker], changes, file.fileno()).diff_id.hex()
    for tracker, changes in found.items():
        baselines[tracker].advance(changes)
        sessions[tracker].advance(baselines[tracker], changes)
    layers.append(digests)
print(json.dumps([layers, sorted(set(lost))]))
"""


@pytest.mark.parametrize("limit", [1, 8, 20])
@pytest.mark.parametrize("name", HARD)
def test_m1_too_few_watches_cost_a_scan_of_the_rest_and_no_change(name: str, limit: int, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)  # the namespace's root is an ordinary user outside if the tests run as one
    layers, lost = run_limited(UNDER_A_LIMIT, str(tmp_path), name, max_inotify_watches=limit)
    assert [set(step) for step in layers] == [{"inotify", "scan"}] * 3
    assert all(step["inotify"] == step["scan"] for step in layers)
    assert len({step["scan"] for step in layers}) == 3
    if limit < 20:
        assert lost == ["watch-limit"]
