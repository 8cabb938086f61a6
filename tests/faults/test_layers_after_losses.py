"""Whatever the tracker lost, the layer is the scan's: both armed together, one run, compared byte for byte."""

import os
from pathlib import Path

import pytest

from fswatch_builder import _native as native
from fswatch_builder.changes.widen import widen
from fswatch_builder.tracking.limits import read_limits
from fswatch_builder.tracking.strategies.inotify import InotifyTracker
from fswatch_builder.tracking.strategies.scan import ScanTracker
from tests.support.hints import baseline_of
from tests.support.mutating import mutate
from tests.support.namespace import run_limited
from tests.support.tracked import pack

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
    "thousands_of_passing_names_in_a_directory_that_moves",
    "remove_a_tree",
]


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
    name: str, when: str, populated: native.Rootfs, tmp_path: Path
) -> None:
    """The change comes when the queue is full already, or its events are there and the overflow follows."""
    baseline = baseline_of(populated)
    scan, inotify = ScanTracker().arm(populated, baseline), InotifyTracker().arm(populated, baseline)
    try:
        inotify.watches.pause()
        if when == "before":
            fill_queue(os.path.join(populated.path, b"wide"))
        mutate(name, populated.path)
        if when == "after":
            fill_queue(os.path.join(populated.path, b"wide"))
        hints, losses = widen(inotify.settle())
        assert ("queue-overflow", b"") in losses
        layers = {}
        for tracker, found in (("scan", scan.settle()), ("inotify", hints)):
            changes = baseline.reconcile(populated, found)
            layers[tracker] = pack(populated, baseline, changes, tmp_path / tracker)[0]
        assert layers["inotify"] == layers["scan"]
        # Watching goes on, and in the right places.
        baseline.advance(changes)
        inotify.advance(baseline, changes)
        inotify.watches.resume()
        last = baseline.paths()[-1]
        os.utime(os.path.join(populated.path, last), (5, 5), follow_symlinks=False)
        again, losses = widen(inotify.settle())
        assert losses == ()
        assert last in [change.path for change in baseline.reconcile(populated, again).changes]
    finally:
        inotify.close()
        scan.close()


UNDER_A_LIMIT = """
from pathlib import Path
from fswatch_builder import _native as native
from fswatch_builder.changes.widen import widen
from tests.conformance import mutations
from tests.support.hints import baseline_of
from tests.support.mutating import mutate
from tests.support.tracked import usable_here
root, name = Path(sys.argv[2]), sys.argv[3]
(root / "rootfs").mkdir()
mutations.populate(str(root / "rootfs"))
rootfs = native.Rootfs(os.fsencode(root / "rootfs"))
trackers = usable_here(rootfs)  # which may touch the tree
baselines = {tracker.name: baseline_of(rootfs) for tracker in trackers}
sessions = {tracker.name: tracker.arm(rootfs, baselines[tracker.name]) for tracker in trackers}
layers, lost = [], []
for step in (name, "append", "create_a_file"):
    mutate(step, rootfs.path)
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
