"""What only a tracker that is told of inodes sees: changes through names that are outside the tree, or gone."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fswatch_builder._native import Rootfs
from fswatch_builder.tracking.strategies.fanotify import FanotifyTracker
from tests.support.hints import baseline_of, covers

pytestmark = pytest.mark.root


def within_the_run(root: Path) -> None:
    os.link(root / "d/f", root / "link")
    (root / "link").write_text("changed")
    os.unlink(root / "link")


def in_a_new_directory(root: Path) -> None:
    (root / "new").mkdir()
    os.link(root / "d/f", root / "new/link")
    (root / "new/link").write_text("changed")
    os.unlink(root / "new/link")
    (root / "new").rmdir()


def outside_the_tree(root: Path) -> None:
    (root.parent / "outside").write_text("changed")


def the_mode_through_a_link_outside(root: Path) -> None:
    (root.parent / "outside").chmod(0o600)


def a_mapping_through_a_link_outside(root: Path) -> None:
    import mmap

    with open(root.parent / "outside", "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0] = 88


@pytest.mark.parametrize(
    "change",
    [
        within_the_run,
        in_a_new_directory,
        outside_the_tree,
        the_mode_through_a_link_outside,
        a_mapping_through_a_link_outside,
    ],
)
def test_a_change_through_another_name_is_seen(change: Callable[[Path], None], tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "d").mkdir(parents=True)
    (root / "d/f").write_text("before")
    os.link(root / "d/f", root / "d/twin")
    os.link(root / "d/f", tmp_path / "outside")
    rootfs = Rootfs(os.fsencode(root))
    session = FanotifyTracker().arm(rootfs, baseline_of(rootfs))
    try:
        change(root)
        hints = session.settle()
        assert covers(hints, b"d/f")
        assert covers(hints, b"d/twin")
        assert hints.losses == []
    finally:
        session.close()
