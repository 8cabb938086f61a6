"""What a RUN may do with subvolumes of btrfs: nothing about them needs a right that it lacks."""

import os
from pathlib import Path

import pytest

from fswatch_builder import _native as native
from fswatch_builder.changes.audit import check_baseline
from tests.support import subvolumes
from tests.support.filesystems import mounted
from tests.support.tracked import armed, assert_nothing_missed

pytestmark = pytest.mark.root


def told_by_all(root: Path) -> None:
    rootfs = native.Rootfs(os.fsencode(root))
    with armed(rootfs) as together:
        subvolumes.create(root / "d/sub")
        subvolumes.create(root / "d/sub/inner")
        (root / "d/sub/inner/f").write_text("1")
        subvolumes.snapshot(root / "d/sub", root / "d/snap")
        subvolumes.make_read_only(root / "d/snap")
        judged = assert_nothing_missed(together)
    assert (b"d/snap/inner", "added", frozenset()) in judged
    with armed(rootfs) as together:
        assert assert_nothing_missed(together) == []
        check_baseline(together.baseline, together.before)
    with armed(rootfs) as together:
        (root / "d/sub/inner/f").write_text("2")
        os.rename(root / "d/sub", root / "moved")
        (root / "moved/inner/f").write_text("3")
        (root / "moved/f").write_text("has the number of the other")
        judged = assert_nothing_missed(together)
    inside = (b"moved", b"moved/f", b"moved/inner", b"moved/inner/f")
    assert {path for path, *_ in judged} == {b"d", b"d/sub", *inside}
    with armed(rootfs) as together:
        check_baseline(together.baseline, together.before)


def test_subvolumes_that_come_change_and_move_are_told_by_all(tmp_path: Path) -> None:
    """Among them one that stands in for a subvolume its snapshot lacks, and has the time of whoever looks."""
    with mounted("btrfs", tmp_path) as top:
        (top / "root/d").mkdir(parents=True)
        told_by_all(top / "root")


def test_a_read_only_subvolume_is_removed_with_the_tree_it_is_in(tmp_path: Path) -> None:
    """Else whoever builds could leave what nobody clears away."""
    with mounted("btrfs", tmp_path) as top:
        sub = top / "tree/d/sub"
        (top / "tree/d").mkdir(parents=True)
        subvolumes.create(sub)
        subvolumes.create(sub / "inner")
        for place in (sub, sub / "inner"):
            (place / "full").mkdir()
            (place / "full/f").write_text("x")
        subvolumes.snapshot(sub, sub / "full/snap")
        for place in (sub / "full/snap", sub / "inner", sub):
            subvolumes.make_read_only(place)
        with pytest.raises(OSError, match="Read-only file system"):
            (sub / "full/f").unlink()
        native.remove_tree(os.fsencode(top / "tree"))
        assert list(top.iterdir()) == []
