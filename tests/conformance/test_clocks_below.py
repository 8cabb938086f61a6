"""Other file systems below the root, with clocks of their own: what a stat proves in one, it need not in another."""

import os
from pathlib import Path

import pytest

from fswatch_builder import _native as native
from tests.conformance.tree import OLD
from tests.support.filesystems import mounted
from tests.support.mappings import Mapping
from tests.support.rare_calls import swap_extents
from tests.support.system_calls import bind_mount, unmount
from tests.support.tracked import Described, armed, assert_nothing_missed, described, whole

pytestmark = pytest.mark.root

CONTENT: Described = [(b"tmpfs/f", "modified", frozenset({"content"}))]


def test_a_store_without_a_stamp_is_found_on_a_tmpfs_that_is_mounted_below(tmp_path: Path) -> None:
    """The root's own file system stamps every store."""
    root = tmp_path / "root"
    root.mkdir()
    with mounted("tmpfs", root) as below:
        (below / "f").write_text("content")
        with armed(native.Rootfs(os.fsencode(root))) as together:
            mapping = Mapping(str(below / "f"))
            mapping.load()
            mapping.store(b"CONTENT")
            mapping.close()
            assert assert_nothing_missed(together) == CONTENT


def rewritten_within_a_second(root: Path, file: Path) -> bool:
    """Whether a rewrite between two looks left no stamp; then it must be found all the same."""
    file.write_text("content")
    os.utime(file, (OLD, OLD))
    before = os.stat(file).st_ctime_ns
    rootfs = native.Rootfs(os.fsencode(root))
    baseline, _ = native.Baseline.record(rootfs)
    file.write_text("CONTENT")
    os.utime(file, (OLD, OLD))
    found = described(baseline.reconcile(rootfs, whole()))
    assert found == [(b"below/f", "modified", frozenset({"content"}))]
    return os.stat(file).st_ctime_ns == before


def test_a_clock_that_ticks_once_a_second_is_known_for_that_below_one_that_does_not(tmp_path: Path) -> None:
    """An ext4 with inodes of 128 bytes has no room for more."""
    below = tmp_path / "root/below"
    below.mkdir(parents=True)
    with mounted("ext4", tmp_path, mkfs=("-I", "128")) as disk:
        bind_mount(str(disk), str(below))
        try:
            assert any(rewritten_within_a_second(tmp_path / "root", below / "f") for _ in range(20))
        finally:
            unmount(str(below))


def exchange_in_a_directory_that_left_and_came_back(top: Path) -> None:
    """A hint for the directory and all below it, and one for each file."""
    (top / "root/d").mkdir(parents=True)
    for name in ("f", "g"):
        with open(top / "root/d" / name, "w") as file:
            file.write(name * 4096)
            file.flush()
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    with armed(native.Rootfs(os.fsencode(top / "root"))) as together:
        os.rename(top / "root/d", top / "root/away")
        os.rename(top / "root/away", top / "root/d")
        with open(top / "root/d/f", "r+b") as one, open(top / "root/d/g", "r+b") as other:
            swap_extents(one.fileno(), other.fileno())
        judged = assert_nothing_missed(together, but_by=("scan",))
    assert {path for path, *_ in judged} == {b"d/f", b"d/g"}


def test_an_exchange_without_a_stamp_is_found_within_a_directory_that_came_back(tmp_path: Path) -> None:
    with mounted("xfs", tmp_path) as top:
        exchange_in_a_directory_that_left_and_came_back(top)
