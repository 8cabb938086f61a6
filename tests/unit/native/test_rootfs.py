import errno
import os
import subprocess
from pathlib import Path

import pytest

from fswatch_builder._native import Baseline, HintSet, RefusedError, Rootfs, remove_tree


def test_missing_and_not_a_directory_are_errors(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    with pytest.raises(FileNotFoundError):
        remove_tree(os.fsencode(tmp_path / "absent"))
    with pytest.raises(NotADirectoryError):
        remove_tree(os.fsencode(tmp_path / "f"))


def test_a_way_longer_than_a_path_can_be(tmp_path: Path) -> None:  # hazard K13
    name = "n" * 250
    top = tmp_path / "tree"
    top.mkdir()
    at = os.open(top, os.O_RDONLY)
    for _ in range(100):
        os.mkdir(name, dir_fd=at)
        below = os.open(name, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    remove_tree(os.fsencode(top))
    assert not top.exists()


@pytest.mark.root
@pytest.mark.parametrize("flag", ["+i", "+a"])
def test_flags_that_forbid_removal(tmp_path: Path, flag: str) -> None:
    top = tmp_path / "tree"
    (top / "d").mkdir(parents=True)
    (top / "d" / "f").write_text("")
    done = subprocess.run(["chattr", flag, top / "d" / "f", top / "d", top], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this file system has no such flags")
    remove_tree(os.fsencode(top))
    assert not top.exists()


@pytest.mark.root
def test_a_mount_point_is_not_crossed(tmp_path: Path) -> None:
    top, other = tmp_path / "tree", tmp_path / "other"
    (top / "m").mkdir(parents=True)
    other.mkdir()
    (other / "kept").write_text("")
    subprocess.run(["mount", "--bind", other, top / "m"], check=True)
    try:
        with pytest.raises(OSError, match="busy"):
            remove_tree(os.fsencode(top))
        assert (other / "kept").exists()
    finally:
        subprocess.run(["umount", top / "m"], check=True)


def test_an_entry_is_seen_without_following_links(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("text")
    (tmp_path / "f").chmod(0o640)
    (tmp_path / "l").symlink_to("/f")
    (tmp_path / "d").symlink_to("/")
    root = Rootfs(os.fsencode(tmp_path))
    file, link = root.entry(b"f"), root.entry(b"l")
    assert file is not None
    assert link is not None
    assert (file.kind, file.mode, file.size, file.sha256) == ("file", 0o640, 4, None)
    assert (link.kind, link.target) == ("symlink", b"/f")
    assert root.entry(b"absent") is None
    assert root.entry(b"d/f") is None


def test_names_are_sorted_bytes(tmp_path: Path) -> None:
    for name in (b"b", b"a-b", b"a", b"\xff"):
        (tmp_path / os.fsdecode(name)).write_text("")
    root = Rootfs(os.fsencode(tmp_path))
    assert root.names(b"") == [b"a", b"a-b", b"b", b"\xff"]
    with pytest.raises(NotADirectoryError):
        root.names(b"a")
    with pytest.raises(FileNotFoundError):
        root.names(b"absent")


def test_a_file_is_opened_inside_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hostname").write_text("mine")
    (tmp_path / "link").symlink_to("/etc/hostname")
    (tmp_path / "up").symlink_to("../../../../../etc/hostname")
    os.mkfifo(tmp_path / "pipe")
    rootfs = Rootfs(os.fsencode(tmp_path))
    for name in (b"etc/hostname", b"link", b"up", b"/link"):
        descriptor = rootfs.open_file(name)
        with open(descriptor, "rb") as file:
            assert file.read() == b"mine"
    for name in (b"pipe", b"etc"):
        with pytest.raises(RefusedError, match="not a regular file"):
            rootfs.open_file(name)
    with pytest.raises(FileNotFoundError):
        rootfs.open_file(b"etc/shadow")


def test_what_is_abandoned_is_not_compared_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    for number in range(1000):
        (tmp_path / "d" / str(number)).touch()
    rootfs = Rootfs(os.fsencode(tmp_path))
    baseline, _ = Baseline.record(rootfs)
    everything = HintSet()
    everything.add(b"", "subtree")
    rootfs.abandon()
    with pytest.raises(OSError, match="reconcile") as ended:
        baseline.reconcile(rootfs, everything)
    assert ended.value.errno == errno.ECANCELED
    assert baseline.reconcile(Rootfs(os.fsencode(tmp_path)), everything).changes == []
