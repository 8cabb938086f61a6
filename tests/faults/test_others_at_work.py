"""A tree is compared while other processes, whom nobody waits for, change parts of it: `track` on a busy machine."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fswatch_builder import _native as native
from tests.support.filesystems import mounted
from tests.support.tracked import whole

#: Makes directories and files, and takes them away.
COMING_AND_GOING = """
import os, shutil
round = 0
while True:
    round += 1
    directory = f"busy/{round % 7}/a/b"
    os.makedirs(directory)
    for path in (f"{directory}/f", f"lock{round % 3}"):
        open(path, "w").close()
    shutil.rmtree(f"busy/{round % 7}")
    os.unlink(f"lock{round % 3}")
"""

#: Replaces one file by another, as programs do that save.
REPLACING = """
import os
while True:
    for number in range(50):
        os.close(os.open("new", os.O_CREAT))
        os.rename("new", f"kept{number}")
"""


@contextmanager
def at_work(program: str, directory: Path) -> Iterator[None]:
    other = subprocess.Popen([sys.executable, "-c", program], cwd=directory)
    try:
        yield
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_what_goes_between_two_looks_is_no_error_and_hides_nothing(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / f"quiet{number}").mkdir()
    (tmp_path / "busy").mkdir()
    rootfs = native.Rootfs(os.fsencode(tmp_path))
    baseline, _ = native.Baseline.record(rootfs)
    (tmp_path / "quiet7/made").touch()
    with at_work(COMING_AND_GOING, tmp_path):
        for _ in range(200):
            native.Baseline.record(rootfs)
            found = [(change.path, change.kind) for change in baseline.reconcile(rootfs, whole()).changes]
            others = {path for path, _ in found if path.startswith((b"busy", b"lock"))}
            assert [each for each in found if each[0] not in others] == [
                (b"quiet7", "modified"),
                (b"quiet7/made", "added"),
            ]
            assert all(os.path.dirname(path) in others | {b"", b"busy"} for path in others)


@pytest.mark.root
def test_a_file_that_is_replaced_without_end_is_never_taken_for_gone(tmp_path: Path) -> None:
    """On btrfs readdir(3) may pass over it: what replaces it comes after the last entry of when the listing began."""
    with mounted("btrfs", tmp_path) as disk:
        for number in range(3000):
            (disk / f"kept{number}").touch()
        unlisted, deleted = compared_while_replaced(disk)
    assert unlisted
    assert not deleted


def compared_while_replaced(disk: Path) -> tuple[int, int]:
    """How often a file was missing from a listing of ours, and how often from the tree, as it was compared."""
    rootfs = native.Rootfs(os.fsencode(disk))
    baseline, _ = native.Baseline.record(rootfs)
    unlisted = deleted = 0
    with at_work(REPLACING, disk):
        for _ in range(100):
            deleted += sum(change.kind == "deleted" for change in baseline.reconcile(rootfs, whole()).changes)
            unlisted += 3000 - sum(name.startswith("kept") for name in os.listdir(disk))
    return unlisted, deleted
