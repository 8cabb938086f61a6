"""Every tracker and every mutation: all armed together on one tree, one run, and the layers compared byte for byte.

Those that have the command run elsewhere cannot take part: test_elsewhere.py. A second opinion comes from the oracle,
which knows nothing of hints, baselines or the native half.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fswatch_builder import _native as native
from fswatch_builder.changes import oracle
from fswatch_builder.changes.widen import widen
from fswatch_builder.tracking.registry import trackers
from tests.conformance import mutations


@pytest.fixture
def rootfs(tmp_path: Path) -> native.Rootfs:
    """The populated tree."""
    root = tmp_path / "rootfs"
    root.mkdir()
    here = os.getcwd()
    try:
        mutations.populate(str(root))
    finally:
        os.chdir(here)
    return native.Rootfs(os.fsencode(root))


def whole() -> native.HintSet:
    hints = native.HintSet()
    hints.add(b"", "subtree")
    return hints


def record(rootfs: native.Rootfs) -> native.Baseline:
    """The baseline of what is there now, digests included."""
    baseline = native.Baseline.empty(rootfs)
    changes = baseline.reconcile(rootfs, whole(), hash="all")
    with open(os.devnull, "wb") as sink:
        native.pack_layer(rootfs, baseline, changes, sink.fileno())
    baseline.advance(changes)
    return baseline


def layer(
    rootfs: native.Rootfs, baseline: native.Baseline, changes: native.ChangeSet, path: Path
) -> tuple[bytes, native.PackedLayer]:
    with open(path, "wb") as file:
        packed = native.pack_layer(rootfs, baseline, changes, file.fileno())
    return path.read_bytes(), packed


def described(changes: native.ChangeSet) -> list[tuple[bytes, str, frozenset[str]]]:
    return [(change.path, change.kind, change.why) for change in changes.changes]


@pytest.mark.root
@pytest.mark.parametrize("name", mutations.MUTATIONS)
def test_all_trackers_give_the_layer_of_a_scan(name: str, rootfs: native.Rootfs, tmp_path: Path) -> None:
    baseline = record(rootfs)
    before = oracle.snapshot(rootfs.path)
    sessions = [tracker.arm(rootfs, baseline) for tracker in trackers().values() if tracker.in_place]
    try:
        subprocess.run([sys.executable, mutations.__file__, name], cwd=os.fsdecode(rootfs.path), check=True)
        hints = {session.tracker: widen(session.settle())[0] for session in sessions}
    finally:
        for session in sessions:
            session.close()
    changes = {tracker: baseline.reconcile(rootfs, found) for tracker, found in hints.items()}
    expected = described(baseline.reconcile(rootfs, whole()))
    layers = {
        tracker: layer(rootfs, baseline, found, tmp_path / f"{tracker}.tar")[0] for tracker, found in changes.items()
    }
    assert set(layers) >= {"scan", "inotify"}
    for tracker, found in changes.items():
        assert described(found) == expected, tracker
        assert layers[tracker] == layers["scan"], tracker
    judged = oracle.compare(before, oracle.snapshot(rootfs.path))
    assert [(change.path, change.kind) for change in judged] == [(path, kind) for path, kind, _ in expected]


@pytest.mark.root
@pytest.mark.parametrize("name", mutations.MUTATIONS)
def test_base_and_layer_unpack_to_the_rootfs(name: str, rootfs: native.Rootfs, tmp_path: Path) -> None:
    base_tar, layer_tar = tmp_path / "base.tar", tmp_path / "layer.tar"
    empty = native.Baseline.empty(rootfs)
    everything = empty.reconcile(rootfs, whole())
    layer(rootfs, empty, everything, base_tar)
    baseline = record(rootfs)
    subprocess.run([sys.executable, mutations.__file__, name], cwd=os.fsdecode(rootfs.path), check=True)
    layer(rootfs, baseline, baseline.reconcile(rootfs, whole()), layer_tar)

    copy = tmp_path / "copy"
    copy.mkdir()
    unpacked = native.Rootfs(os.fsencode(copy))
    into = native.Baseline.empty(unpacked)
    for tar in (base_tar, layer_tar):
        with open(tar, "rb") as file:
            native.unpack_layer(unpacked, into, file.fileno())
    assert at_layer_precision(unpacked) == at_layer_precision(rootfs)


def at_layer_precision(rootfs: native.Rootfs) -> list[object]:
    """What a layer can say: whole seconds; the root's own time is not its business."""
    baseline = record(rootfs)
    entries = []
    for path in baseline.paths():
        entry = baseline.entry(path)
        assert entry is not None
        seconds = entry.mtime_ns // 10**9
        meta = (
            entry.kind,
            entry.mode,
            entry.uid,
            entry.gid,
            entry.rdev,
            entry.size,
            seconds,
            entry.target,
            entry.xattrs,
        )
        entries.append((path, *meta, entry.sha256, entry.nlink if entry.kind != "directory" else 0))
    return sorted(entries)


@pytest.mark.root
def test_a_second_look_after_advancing_finds_nothing(rootfs: native.Rootfs) -> None:
    baseline = record(rootfs)
    subprocess.run(
        [sys.executable, mutations.__file__, "move_a_directory_and_write_in_it"],
        cwd=os.fsdecode(rootfs.path),
        check=True,
    )
    changes = baseline.reconcile(rootfs, whole())
    assert len(changes) > 0
    baseline.advance(changes)
    again = baseline.reconcile(rootfs, whole())
    assert described(again) == []
    assert again.hashed_files == 0


def outside_and_in(outside: Path, root: Path) -> None:
    """A full directory and a file come in, others go out; the tree is on one file system with what is around it."""
    (outside / "full/of").mkdir(parents=True)
    (outside / "full/of/f").write_text("came along\n")
    (outside / "file").write_text("came alone\n")
    os.rename(outside / "full", root / "data/full")
    os.rename(outside / "file", root / "etc/passwd")
    os.rename(root / "data/a", outside / "gone")
    os.rename(root / "data/c/two", outside / "two")
    (outside / "gone/b/one").write_text("not in the tree any more\n")
    (outside / "gone/linked").write_text("another name is\n")


@pytest.mark.root
def test_a12_a15_what_moves_into_and_out_of_the_tree_is_seen(rootfs: native.Rootfs, tmp_path: Path) -> None:
    baseline = record(rootfs)
    before = oracle.snapshot(rootfs.path)
    sessions = [tracker.arm(rootfs, baseline) for tracker in trackers().values() if tracker.in_place]
    try:
        outside_and_in(tmp_path / "outside", Path(os.fsdecode(rootfs.path)))
        changes = {session.tracker: baseline.reconcile(rootfs, widen(session.settle())[0]) for session in sessions}
    finally:
        for session in sessions:
            session.close()
    judged = oracle.compare(before, oracle.snapshot(rootfs.path))
    assert {change.path for change in judged} >= {b"data/a", b"data/full/of/f", b"etc/passwd", b"data/linked"}
    layers = set()
    for tracker, found in changes.items():
        assert described(found) == [(change.path, change.kind, change.why) for change in judged], tracker
        layers.add(layer(rootfs, baseline, found, tmp_path / f"{tracker}.tar")[0])
    assert len(layers) == 1


@pytest.mark.root
def test_b5_looking_and_packing_leave_access_times_alone(rootfs: native.Rootfs, tmp_path: Path) -> None:
    """With relatime a read moves an access time that is not later than the modification: all of these are."""
    baseline = record(rootfs)
    files = [os.path.join(rootfs.path, path) for path in (b"etc/passwd", b"data/linked", b"usr/bin/tool", b"etc/link")]
    for path in files:
        os.utime(path, (mutations.OLD, mutations.OLD + 7), follow_symlinks=False)
    # The test can fail: a plain read does move it.
    assert Path(os.fsdecode(rootfs.path), "wide/1").read_text()
    assert os.stat(os.path.join(rootfs.path, b"wide/1")).st_atime > mutations.OLD, "mounted with noatime"
    changes = baseline.reconcile(rootfs, whole(), hash="all")
    layer(rootfs, baseline, changes, tmp_path / "layer.tar")
    assert {change.path for change in changes.changes} >= {b"etc/passwd", b"usr/bin/tool", b"etc/link"}
    assert {os.lstat(path).st_atime for path in files if not os.path.islink(path)} == {mutations.OLD}
