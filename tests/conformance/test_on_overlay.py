"""Every mutation under the trackers that watch in place, where the place is the merged view of an overlay.

A build begins so where its base is kept unpacked: the baseline was recorded in the lower layer, and the tree is looked
at through the overlay from the first step on.
"""

import os
from pathlib import Path

import pytest

from fswatch_builder import _native as native
from fswatch_builder.tracking.registry import trackers
from tests.conformance import mutations
from tests.conformance.test_trackers import UNDONE
from tests.support.mutating import mutate
from tests.support.overlays import needs_overlay_tracker
from tests.support.tracked import armed, described, pack

pytestmark = [pytest.mark.root, needs_overlay_tracker]


def merged(lower: native.Rootfs, tmp_path: Path) -> native.Rootfs:
    layers = tmp_path / "layers"
    layers.mkdir()
    return native.mount_overlay(lower, os.fsencode(layers))


@pytest.mark.parametrize("name", mutations.MUTATIONS)
def test_all_trackers_find_what_the_oracle_finds(name: str, populated: native.Rootfs, tmp_path: Path) -> None:
    baseline, _ = native.Baseline.record(populated)
    baseline.save(os.fsencode(tmp_path / "baseline"))
    rootfs = merged(populated, tmp_path)
    with armed(rootfs, native.Baseline.open(os.fsencode(tmp_path / "baseline"))) as together:
        assert {session.tracker for session in together.sessions} == {"inotify", "scan"}
        mutate(name, rootfs.path)
        changes = together.settle()
        judged = together.judge()
    for tracker, found in changes.items():
        assert described(found) == judged, tracker
    layers = {
        tracker: pack(rootfs, together.baseline, found, tmp_path / f"{tracker}.tar")[0]
        for tracker, found in changes.items()
    }
    assert layers["inotify"] == layers["scan"]
    assert (judged == []) == (name in UNDONE)


def test_a_tracker_says_whether_it_can_be_given_an_overlay(populated: native.Rootfs, tmp_path: Path) -> None:
    rootfs = merged(populated, tmp_path)
    for tracker in trackers().values():
        assert tracker.probe(rootfs).usable == tracker.on_overlay, tracker.name
