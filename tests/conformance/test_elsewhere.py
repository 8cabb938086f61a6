"""Every mutation under the trackers that have the command run elsewhere, each on a tree of its own, step after step.

What they find is compared entry by entry with what a scan finds where the same mutation runs on a plain tree. And the
oracle, which knows nothing of hints, baselines or the native half, looks at the very tree the command saw.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from fswatch_builder import _native as native
from fswatch_builder.changes import oracle
from fswatch_builder.changes.widen import widen
from fswatch_builder.tracking.protocol import Session, Tracker
from fswatch_builder.tracking.registry import trackers
from tests.conformance import mutations
from tests.conformance.test_trackers import at_layer_precision
from tests.support.mutating import attempt, mutate
from tests.support.overlays import OVERLAY
from tests.support.tracked import described, pack, whole

ELSEWHERE = [OVERLAY if name == "overlay" else name for name, tracker in trackers().items() if not tracker.in_place]

pytestmark = pytest.mark.root

NEW = (mutations.OLD + 1000) * 10**9

Comparable = tuple[bytes, str, frozenset[str], object]


@dataclass
class Stage:
    """A tree under a tracker, and its baseline."""

    session: Session
    baseline: native.Baseline

    @classmethod
    def of(cls, tracker: Tracker, directory: Path) -> "Stage":
        rootfs = populated(directory)
        baseline, _ = native.Baseline.record(rootfs)
        assert tracker.probe(rootfs).usable, tracker.probe(rootfs).reason
        return cls(tracker.arm(rootfs, baseline), baseline)

    @property
    def rootfs(self) -> native.Rootfs:
        return self.session.rootfs

    def attempt(self, name: str) -> int:
        """Runs a mutation; its exit status."""
        return attempt(name, self.rootfs.path).returncode

    def run(self, name: str) -> None:
        mutate(name, self.rootfs.path)

    def changes(self) -> native.ChangeSet:
        return self.baseline.reconcile(self.rootfs, widen(self.session.settle())[0])

    def advance(self, changes: native.ChangeSet) -> None:
        self.baseline.advance(changes)
        self.session.advance(self.baseline, changes)


def populated(directory: Path) -> native.Rootfs:
    root = directory / "rootfs"
    root.mkdir(parents=True)
    here = os.getcwd()
    try:
        mutations.populate(str(root))
    finally:
        os.chdir(here)
    return native.Rootfs(os.fsencode(root))


def comparable(changes: native.ChangeSet) -> list[Comparable]:
    return [(change.path, change.kind, change.why, state(change.after)) for change in changes.changes]


def state(entry: native.Entry | None) -> object:
    if entry is None:
        return None
    # Set by the program, or by the clock, which differs between two runs.
    age = entry.mtime_ns if entry.mtime_ns < NEW else "new"
    links = entry.nlink if entry.kind != "directory" else 0
    meta = (entry.kind, entry.mode, entry.uid, entry.gid, entry.rdev, entry.size, entry.target, entry.xattrs)
    return (*meta, links, age, entry.sha256)


@pytest.mark.parametrize("tracker", ELSEWHERE)
@pytest.mark.parametrize("name", mutations.MUTATIONS)
def test_what_is_found_is_what_a_scan_finds_on_a_plain_tree(name: str, tracker: str, tmp_path: Path) -> None:
    stage = Stage.of(trackers()[tracker], tmp_path / "elsewhere")
    plain = Stage.of(trackers()["scan"], tmp_path / "plain")
    before = oracle.snapshot(stage.rootfs.path)
    stage.run(name)
    plain.run(name)
    found, expected = stage.changes(), plain.changes()
    # Packing reads what is new, so that digests can be compared.
    pack(stage.rootfs, stage.baseline, found, tmp_path / "elsewhere.tar")
    pack(plain.rootfs, plain.baseline, expected, tmp_path / "plain.tar")
    if name != "a_path_of_4095_bytes":  # where it ends depends on where the tree is
        assert comparable(found) == comparable(expected)
    judged = oracle.compare(before, oracle.snapshot(stage.rootfs.path))
    assert described(found) == [(change.path, change.kind, change.why) for change in judged]
    assert described(found) == described(stage.baseline.reconcile(stage.rootfs, whole()))


@pytest.mark.parametrize("tracker", ELSEWHERE)
@pytest.mark.parametrize("name", mutations.MUTATIONS)
def test_base_and_layer_unpack_to_what_the_command_left(name: str, tracker: str, tmp_path: Path) -> None:
    base_tar, layer_tar = tmp_path / "base.tar", tmp_path / "layer.tar"
    stage = Stage.of(trackers()[tracker], tmp_path / "elsewhere")
    empty = native.Baseline.empty(stage.rootfs)
    pack(stage.rootfs, empty, empty.reconcile(stage.rootfs, whole()), base_tar)
    stage.run(name)
    pack(stage.rootfs, stage.baseline, stage.changes(), layer_tar)
    assert at_layer_precision(unpacked(tmp_path / "copy", [base_tar, layer_tar])) == at_layer_precision(stage.rootfs)


def unpacked(directory: Path, tars: Sequence[Path]) -> native.Rootfs:
    directory.mkdir()
    rootfs = native.Rootfs(os.fsencode(directory))
    into = native.Baseline.empty(rootfs)
    for tar in tars:
        with open(tar, "rb") as file:
            native.unpack_layer(rootfs, into, file.fileno())
    return rootfs


@pytest.mark.parametrize("tracker", ELSEWHERE)
def test_the_steps_of_one_stage_are_found_one_by_one(tracker: str, tmp_path: Path) -> None:
    """What an earlier step left is no news, and what it made can be gone without a trace."""
    stages = [Stage.of(trackers()[name], tmp_path / name) for name in (tracker, "scan")]
    done = 0
    # Those of the other modules wait for what only the tree as populated gives them.
    names = [name for name, done in mutations.MUTATIONS.items() if done.__module__ == mutations.__name__]
    for name in names:
        before = oracle.snapshot(stages[0].rootfs.path)
        results = []
        for stage in stages:
            # Many need what an earlier one took away: whatever they got done is a step too.
            ended = stage.attempt(name)
            found = stage.changes()
            pack(stage.rootfs, stage.baseline, found, tmp_path / "layer.tar")
            results.append((ended, comparable(found)))
            if stage is stages[0]:
                judged = oracle.compare(before, oracle.snapshot(stage.rootfs.path))
                assert described(found) == [(change.path, change.kind, change.why) for change in judged], name
            stage.advance(found)
            assert described(stage.changes()) == [], f"after {name}"
        assert results[0] == results[1], name
        done += results[0][0] == 0
    assert done > 20
