"""``track`` where files are not simply to be read: leases, attributes without end, directories at two places."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.attributes import more_than_are_listed
from tests.support.filesystems import mounted
from tests.support.leases import held_lease
from tests.support.tracking import IN_PLACE, track


@pytest.mark.parametrize("tracker", IN_PLACE)
def test_a_file_that_another_process_has_a_lease_on_is_read_when_that_gives_way(tree: Path, tracker: str) -> None:
    """As any reader would: a file server is asked to come to an end with it."""
    with held_lease(str(tree / "tool")):
        done = track(tree, "--tracker", tracker, "--audit", script="echo more >>tool")
    assert "M  tool  content 10B -> 15B" in done.stderr


@pytest.mark.root
@pytest.mark.parametrize("tracker", IN_PLACE)
def test_more_names_of_attributes_than_the_kernel_lists_are_one_clear_error(tmp_path: Path, tracker: str) -> None:
    why = "the names of its extended attributes take more than 64 KiB, and the kernel lists no more"
    with mounted("tmpfs", tmp_path) as tree:
        (tree / "f").write_text("x")
        names = more_than_are_listed(tree / "f")
        done = track(tree, "--tracker", tracker, check=False, script="true")
        assert done.returncode == 1
        assert f"ERROR: cannot record {tree}/f: {why}" in done.stderr
        # And where the command does it.
        os.removexattr(tree / "f", names[-1])
        one_more = f'{sys.executable} -c \'import os; os.setxattr("f", "{names[-1]}", b"x")\''
        done = track(tree, "--tracker", tracker, check=False, script=one_more)
        assert done.returncode == 1
        assert f"ERROR: cannot compare {tree}/f: {why}" in done.stderr
        assert "Remove some by their names (setfattr -x)" in done.stderr


@pytest.mark.root
def test_an_attribute_of_64_kib_is_compared_and_packed(tmp_path: Path) -> None:
    """Where ext4 was made for them (`ea_inode`)."""
    with mounted("ext4", tmp_path, mkfs=("-O", "ea_inode")) as tree:
        (tree / "f").write_text("x")
        script = f'{sys.executable} -c \'import os; os.setxattr("f", "user.large", b"v" * 65535)\''
        layer = tmp_path / "layer.tar"
        done = track(tree, "--audit", "--layer", str(layer), script=script)
        assert "M  f  xattrs" in done.stderr
        assert b"SCHILY.xattr.user.large=" + b"v" * 65_535 in layer.read_bytes()


@pytest.mark.root
def test_a_directory_at_two_places_is_looked_at_for_that_reason(tree: Path) -> None:
    (tree / "again").mkdir()
    subprocess.run(["mount", "--bind", tree / "old", tree / "again"], check=True)
    try:
        done = track(tree, "--tracker", "inotify", "--audit", script="echo 1 >old/deep/f")
    finally:
        subprocess.run(["umount", tree / "again"], check=True)
    assert "M  old/deep/f" in done.stderr
    assert "M  again/deep/f" in done.stderr
    assert "shared-watch: a directory that is mounted at several places has one inotify watch" in done.stderr
    assert "no inotify watch was left" not in done.stderr
