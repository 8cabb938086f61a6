"""A recorded tree made anew with shared blocks: equal in everything that counts, and recorded as it is now."""

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fswatch_builder import _native as native
from fswatch_builder.changes import oracle
from tests.support.bases import hard_base
from tests.support.filesystems import mounted
from tests.support.layers import whole
from tests.support.rootfs import busybox_rootfs

pytestmark = pytest.mark.root


@pytest.fixture(params=["btrfs", "xfs"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    with mounted(request.param, tmp_path) as point:
        yield point


def unpacked(directory: Path, tmp_path: Path) -> tuple[native.Rootfs, native.Baseline]:
    """The base of all that is hard, with a file large enough to share blocks."""
    busybox_rootfs(str(tmp_path / "busybox"))
    (tmp_path / "busybox/large").write_bytes(os.urandom(1 << 20))
    (tmp_path / "busybox/sparse").touch()
    os.truncate(tmp_path / "busybox/sparse", 64 << 20)
    tar = hard_base(tmp_path / "busybox", tmp_path / "base.tar", null_device=True)
    rootfs = empty(directory / "rootfs")
    baseline = native.Baseline.empty(rootfs)
    with open(tar, "rb") as file:
        native.unpack_layer(rootfs, baseline, file.fileno())
    return rootfs, baseline


def empty(path: Path) -> native.Rootfs:
    path.mkdir()
    return native.Rootfs(os.fsencode(path))


def test_the_copy_is_equal_and_its_record_is_right(place: Path, tmp_path: Path) -> None:
    rootfs, baseline = unpacked(place, tmp_path)
    copy = empty(place / "copy")
    recorded = baseline.clone_tree(rootfs, copy)
    before, after = oracle.snapshot(rootfs.path), oracle.snapshot(copy.path)
    assert oracle.compare(before, after) == []
    assert recorded.paths() == baseline.paths()
    found = recorded.reconcile(copy, whole(), hash="all")
    assert len(found) == 0
    again = recorded.reconcile(copy, whole())
    assert (len(again), again.losses) == (0, [])
    if native.is_multigrain(os.fsencode(place)):
        assert again.hashed_files == 0  # the evidence is that of the copy
    linked = [recorded.entry(name) for name in (b"l/a", b"l/b", b"l/deep/c")]
    assert {(entry.ino, entry.nlink) for entry in linked if entry} == {(os.stat(place / "copy/l/a").st_ino, 3)}


def test_files_share_their_blocks_until_they_are_written(place: Path, tmp_path: Path) -> None:
    rootfs, baseline = unpacked(place, tmp_path)
    baseline.clone_tree(rootfs, empty(place / "copy"))
    os.sync()
    extents = subprocess.run(
        ["filefrag", "-v", place / "copy/large"], capture_output=True, text=True, check=True
    ).stdout
    assert "shared" in extents
    (place / "copy/large").write_bytes(b"changed")
    assert len((place / "rootfs/large").read_bytes()) == 1 << 20


def failure(directory: Path, tmp_path: Path, *, without: str | None = None) -> OSError:
    """What a copy of the tree without that file ends with. Nothing is left open."""
    rootfs, baseline = unpacked(directory, tmp_path)
    if without is not None:
        os.remove(directory / "rootfs" / without)
    try:
        baseline.clone_tree(rootfs, empty(directory / "copy"))
    except OSError as error:
        return error.with_traceback(None)
    raise AssertionError("it was copied")


def test_what_is_not_there_any_more_is_an_error(place: Path, tmp_path: Path) -> None:
    error = failure(place, tmp_path, without="etc/passwd")
    assert isinstance(error, FileNotFoundError)
    assert error.filename == b"etc/passwd"


def test_where_blocks_cannot_be_shared_it_is_an_error(tmp_path: Path) -> None:
    with mounted("tmpfs", tmp_path) as point:
        error = failure(point, tmp_path)
    assert error.errno in (errno.EOPNOTSUPP, errno.EINVAL)
    assert "ioctl" in str(error)
