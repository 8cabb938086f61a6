"""Who changed what, when asked for."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fswatch_builder._native import Baseline, FilesystemMark, Rootfs
from tests.support.rootfs import BUSYBOX

pytestmark = pytest.mark.root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    shutil.copy(os.fsdecode(BUSYBOX), root / "bin/sh")
    (root / "d").mkdir()
    (root / "d/f").write_text("before")
    return root


@pytest.fixture
def rootfs(root: Path) -> Rootfs:
    return Rootfs(os.fsencode(root))


@pytest.fixture
def mark(rootfs: Rootfs, baseline: Baseline) -> Iterator[FilesystemMark]:
    mark = FilesystemMark(rootfs, baseline, record_processes=True)
    yield mark
    mark.close()


def test_each_path_has_the_processes_that_touched_it_and_they_their_programs(
    mark: FilesystemMark, root: Path, baseline: Baseline
) -> None:
    script = "echo a >d/f; echo b >d/new"
    child = subprocess.Popen([root / "bin/sh", "-c", script], cwd=root)
    assert child.wait() == 0
    os.chmod(root / "d/f", 0o600)
    hints = mark.settle(baseline)
    assert [path for path, _ in hints.hints] == [b"d", b"d/f", b"d/new"]
    recorded = mark.processes
    assert recorded is not None
    touched, executed, complete = recorded
    assert complete
    assert dict(touched) == {b"d/f": sorted([child.pid, os.getpid()]), b"d/new": [child.pid]}
    assert executed == {child.pid: [b"bin/sh"]}


def test_a_program_from_elsewhere_has_no_path(mark: FilesystemMark, root: Path, baseline: Baseline) -> None:
    """From the same file system: the mark does not tell of others."""
    program = root.parent / "sh"
    shutil.copy(os.fsdecode(BUSYBOX), program)
    child = subprocess.Popen([program, "-c", "echo a >d/f"], cwd=root)
    assert child.wait() == 0
    mark.settle(baseline)
    assert mark.processes == ([(b"d/f", [child.pid])], {child.pid: [None]}, True)


def test_each_settle_begins_anew_and_executing_is_no_change(
    mark: FilesystemMark, root: Path, baseline: Baseline
) -> None:
    (root / "d/f").write_text("after")
    mark.settle(baseline)
    subprocess.run([root / "bin/sh", "-c", ":"], check=True)
    assert mark.settle(baseline).hints == []
    assert mark.processes == ([], {}, True)


def test_more_than_there_is_room_for_is_told(mark: FilesystemMark, root: Path, baseline: Baseline) -> None:
    for number in range((1 << 16) + 1):
        os.symlink("x", root / f"d/{number}")
    mark.settle(baseline)
    recorded = mark.processes
    assert recorded is not None
    touched, _, complete = recorded
    assert 60_000 < len(touched) <= 1 << 16, "programs that others execute meanwhile take room too"
    assert not complete


def test_nothing_is_recorded_unless_asked_for(rootfs: Rootfs, root: Path, baseline: Baseline) -> None:
    mark = FilesystemMark(rootfs, baseline)
    try:
        (root / "d/f").write_text("after")
        mark.settle(baseline)
        assert mark.processes is None
    finally:
        mark.close()
