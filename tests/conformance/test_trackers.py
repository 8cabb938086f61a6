"""Every tracker and every mutation: all armed together on one tree, one run, and the layers compared byte for byte.

Those that have the command run elsewhere cannot take part: test_elsewhere.py. A second opinion comes from the oracle,
which knows nothing of hints, baselines or the native half.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from fswatch_builder import _native as native
from fswatch_builder.changes.widen import widen
from tests.conformance import mutations
from tests.support.hints import baseline_of
from tests.support.mutating import mutate
from tests.support.tracked import armed, assert_nothing_missed, described, pack, usable_here, whole

#: What leaves everything as it was, by the rules: no layer.
UNDONE = {
    "nothing",
    "rewrite_equal_bytes_and_restore_mtime",
    "change_the_mode_to_the_same",
    "change_the_mode_and_back",
    "change_the_owner_and_back",
    "set_and_remove_an_attribute",
    "set_an_inode_flag",
    "set_a_project_id",
    "insert_a_range_and_collapse_it_and_restore_the_time",
    "set_and_remove_an_attribute_by_the_new_calls",
    "move_the_access_time",
    "add_and_remove_a_name",
    "rename_onto_another_name_of_itself",
    "exchange_names_of_one_group",
    "exchange_twice",
    "move_away_and_back_and_restore_all_times",
    "create_and_remove_and_restore_all_times",
    "write_below_a_mount_that_only_the_run_sees",
}


@pytest.mark.root
@pytest.mark.parametrize("name", mutations.MUTATIONS)
def test_all_trackers_give_the_layer_of_a_scan(name: str, populated: native.Rootfs, tmp_path: Path) -> None:
    with armed(populated) as together:
        mutate(name, populated.path)
        changes = together.settle()
        judged = together.judge()
    for tracker, found in changes.items():
        assert described(found) == judged, tracker
    layers = {
        tracker: pack(populated, together.baseline, found, tmp_path / f"{tracker}.tar")[0]
        for tracker, found in changes.items()
    }
    assert {tracker: layer == layers["scan"] for tracker, layer in layers.items()} == dict.fromkeys(layers, True)
    assert (judged == []) == (name in UNDONE)


@pytest.mark.root
@pytest.mark.parametrize("name", mutations.MUTATIONS)
def test_base_and_layer_unpack_to_the_rootfs(name: str, populated: native.Rootfs, tmp_path: Path) -> None:
    base_tar, layer_tar = tmp_path / "base.tar", tmp_path / "layer.tar"
    empty = native.Baseline.empty(populated)
    everything = empty.reconcile(populated, whole())
    pack(populated, empty, everything, base_tar)
    baseline, _ = native.Baseline.record(populated)
    mutate(name, populated.path)
    pack(populated, baseline, baseline.reconcile(populated, whole()), layer_tar)

    copy = tmp_path / "copy"
    copy.mkdir()
    unpacked = native.Rootfs(os.fsencode(copy))
    into = native.Baseline.empty(unpacked)
    for tar in (base_tar, layer_tar):
        with open(tar, "rb") as file:
            native.unpack_layer(unpacked, into, file.fileno())
    assert at_layer_precision(unpacked) == at_layer_precision(populated)


def at_layer_precision(rootfs: native.Rootfs) -> Sequence[tuple[object, ...]]:
    """What a layer can say: whole seconds; the root's own time is not its business."""
    baseline, _ = native.Baseline.record(rootfs)
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
def test_a_second_look_after_advancing_finds_nothing(populated: native.Rootfs) -> None:
    baseline, _ = native.Baseline.record(populated)
    mutate("move_a_directory_and_write_in_it", populated.path)
    changes = baseline.reconcile(populated, whole())
    assert len(changes) > 0
    baseline.advance(changes)
    again = baseline.reconcile(populated, whole())
    assert described(again) == []
    # None, but on a tmpfs, where stat proves nothing of a file that has a digest.
    anew, _ = native.Baseline.record(populated)
    assert again.hashed_files <= anew.reconcile(populated, whole()).hashed_files


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
def test_a12_a15_what_moves_into_and_out_of_the_tree_is_seen(populated: native.Rootfs, tmp_path: Path) -> None:
    with armed(populated) as together:
        outside_and_in(tmp_path / "outside", Path(os.fsdecode(populated.path)))
        judged = assert_nothing_missed(together)
    assert {path for path, *_ in judged} >= {b"data/a", b"data/full/of/f", b"etc/passwd", b"data/linked"}


@pytest.mark.root
def test_b5_looking_and_packing_leave_access_times_alone(populated: native.Rootfs, tmp_path: Path) -> None:
    """With relatime a read moves an access time that is not later than the modification: all of these are."""
    baseline, _ = native.Baseline.record(populated)
    files = [
        os.path.join(populated.path, path) for path in (b"etc/passwd", b"data/linked", b"usr/bin/tool", b"etc/link")
    ]
    for path in files:
        os.utime(path, (mutations.OLD, mutations.OLD + 7), follow_symlinks=False)
    # The test can fail: a plain read does move it.
    assert Path(os.fsdecode(populated.path), "wide/1").read_text()
    assert os.stat(os.path.join(populated.path, b"wide/1")).st_atime > mutations.OLD, "mounted with noatime"
    changes = baseline.reconcile(populated, whole(), hash="all")
    pack(populated, baseline, changes, tmp_path / "layer.tar")
    assert {change.path for change in changes.changes} >= {b"etc/passwd", b"usr/bin/tool", b"etc/link"}
    assert {os.lstat(path).st_atime for path in files if not os.path.islink(path)} == {mutations.OLD}


@pytest.mark.root
def test_a_directory_of_a_hundred_thousand_entries(tmp_path: Path) -> None:
    wide = tmp_path / "rootfs/wide"
    wide.mkdir(parents=True)
    for number in range(100_000):
        os.close(os.open(wide / str(number), os.O_CREAT | os.O_WRONLY))
    rootfs = native.Rootfs(os.fsencode(tmp_path / "rootfs"))
    # Neither digests nor the oracle: they would read every file three times.
    baseline = baseline_of(rootfs)
    sessions = [tracker.arm(rootfs, baseline) for tracker in usable_here(rootfs)]
    try:
        os.truncate(wide / "50000", 1)
        os.unlink(wide / "99999")
        (wide / "new").write_text("x")
        for session in sessions:
            found = baseline.reconcile(rootfs, widen(session.settle())[0])
            assert [change.path for change in found.changes] == [b"wide", b"wide/50000", b"wide/99999", b"wide/new"]
    finally:
        for session in sessions:
            session.close()
