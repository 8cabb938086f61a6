"""``track`` where other file systems are mounted, directories go, and an ordinary user may not look."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.filesystems import mounted
from tests.support.tracking import IN_PLACE, SCRIPT, track


@pytest.mark.root
def test_a_file_system_mounted_below_is_looked_at_whole(tree: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tree / "old"], check=True)
    try:
        done = track(tree, "--tracker", "inotify", "--audit", script="echo 1 >old/in-it; echo 2 >etc/conf")
    finally:
        subprocess.run(["umount", tree / "old"], check=True)
    assert "A  old/in-it" in done.stderr
    assert "note: old is a mount of its own (tmpfs): everything there was looked at" in done.stderr


@pytest.mark.root
@pytest.mark.parametrize("tracker", IN_PLACE)
def test_a_full_file_system_is_followed(tmp_path: Path, tracker: str) -> None:
    """Nothing can be written there to try its clock: then nothing is believed of it."""
    with mounted("tmpfs", tmp_path, "size=64k") as tree:
        (tree / "f").write_bytes(b"x" * 65536)
        with pytest.raises(OSError, match="No space left"):
            (tree / "g").write_bytes(b"x" * 65536)
        done = track(tree, "--tracker", tracker, "--audit", script="printf y 1<>f")
    assert "M  f  content" in done.stderr


@pytest.mark.root
def test_files_of_one_number_in_two_file_systems_are_no_links_to_the_audit(tree: Path) -> None:
    for name in ("one", "two"):
        (tree / name).mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tree / name], check=True)
        (tree / name / "f").write_text(name)
    try:
        assert os.stat(tree / "one/f").st_ino == os.stat(tree / "two/f").st_ino
        done = track(tree, "--audit", script="echo more >>two/f")
    finally:
        for name in ("one", "two"):
            subprocess.run(["umount", tree / name], check=True)
    assert "M  two/f  content" in done.stderr
    assert "1 modified" in done.stderr


@pytest.mark.root
@pytest.mark.parametrize("tracker", IN_PLACE)
def test_what_the_command_mounts_and_leaves_is_told_and_never_a_bug(tree: Path, tracker: str) -> None:
    script = "mount -t tmpfs t old; echo 1 >old/in-it; echo 2 >etc/conf"
    try:
        done = track(tree, "--tracker", tracker, script=script, check=False)
    finally:
        subprocess.run(["umount", tree / "old"], check=True)
    # Under inotify too everything is looked at: a mount may make hard links that nobody counts.
    if tracker != "fanotify":
        assert done.returncode == 1
        why = "something was mounted over it since it was recorded: unmount that"
        assert f"ERROR: cannot compare {tree}/old: {why}" in done.stderr
    else:
        assert done.returncode == 0, done.stderr
        assert "M  etc/conf" in done.stderr
        assert "note: old was mounted while the command ran (tmpfs): what changed in it" in done.stderr


@pytest.mark.root
def test_a_mount_that_goes_while_the_command_runs_is_compared_with_what_shows_then(tree: Path) -> None:
    (tree / "etc/under").mkdir()
    (tree / "etc/under/f").write_text("below\n")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tree / "etc/under"], check=True)
    try:
        (tree / "etc/under/g").write_text("above\n")
    finally:
        done = track(tree, "--audit", script="umount etc/under")
    assert "A  etc/under/f" in done.stderr
    assert "D  etc/under/g" in done.stderr
    assert "note: etc/under is a mount of its own (tmpfs, unmounted meanwhile)" in done.stderr


@pytest.mark.root
def test_times_that_no_index_holds_are_all_one_and_the_audit_agrees(tmp_path: Path) -> None:
    """tmpfs keeps any number of seconds."""
    with mounted("tmpfs", tmp_path) as tree:
        (tree / "f").write_text("x")
        assert "M  f  mtime" in track(tree, "--audit", script="touch -d 2500-01-01 f").stderr
        assert "nothing changed" in track(tree, "--audit", script="touch -d 2600-01-01 f").stderr
        assert "M  f  mtime" in track(tree, "--audit", script="touch -d 1600-01-01 f").stderr
        assert "nothing changed" in track(tree, "--audit", script="touch -d 1500-01-01 f").stderr


@pytest.mark.parametrize("tracker", IN_PLACE)
@pytest.mark.parametrize(
    ("script", "now"),
    [
        ("rm -r ../tree", "nothing is in its place"),
        ("mv ../tree ../moved; mkdir ../tree", "another directory is in its place"),
    ],
    ids=["removed", "replaced"],
)
def test_a_directory_that_is_no_longer_the_one_recorded_is_told(
    tree: Path, tracker: str, script: str, now: str
) -> None:
    done = track(tree, "--tracker", tracker, script=script, check=False)
    # The kernel does not list a removed directory, which a scan would have to.
    failed = tracker == "scan" and "nothing" in now
    assert done.returncode == failed
    start = "ERROR: cannot compare" if failed else "note"
    assert f"{start}: {tree} was removed, moved or mounted over while the command ran, {now}" in done.stderr


def test_an_audit_of_a_directory_that_has_gone_says_so_and_blames_nobody(tree: Path) -> None:
    done = track(tree, "--audit", script="mv ../tree ../moved; mkdir ../tree", check=False)
    assert done.returncode == 1
    assert f"ERROR: the audit cannot be made: {tree} was removed, moved or mounted over" in done.stderr
    assert "bug" not in done.stderr


@pytest.mark.root
def test_a_file_system_without_files_below_is_refused_before_it_is_read(tree: Path) -> None:
    subprocess.run(["mount", "-t", "proc", "proc", tree / "old"], check=True)
    try:
        done = track(tree, check=False)
    finally:
        subprocess.run(["umount", tree / "old"], check=True)
    assert done.returncode == 2
    assert f"{tree}/old is in a proc file system" in done.stderr


@pytest.mark.root
@pytest.mark.parametrize("hidden", [False, True], ids=["seen", "hidden"])
def test_what_holds_no_files_is_refused_within_another_mount_too_unless_it_is_hidden(tree: Path, hidden: bool) -> None:
    kinds = ("mqueue", "tmpfs") if hidden else ("tmpfs", "mqueue")
    points = (tree / "old/deep", tree / "old") if hidden else (tree / "old", tree / "old/deep")
    mount_points = []
    try:
        for kind, point in zip(kinds, points, strict=True):
            point.mkdir(exist_ok=True)
            subprocess.run(["mount", "-t", kind, "none", point], check=True)
            mount_points.append(point)
        done = track(tree, "--audit", check=False, script="echo 1 >etc/conf")
    finally:
        for point in reversed(mount_points):
            subprocess.run(["umount", point], check=True)
    if hidden:
        assert "M  etc/conf" in done.stderr
    else:
        assert done.returncode == 2
        assert f"{tree}/old/deep is in a mqueue file system" in done.stderr


NOBODY = 54321
#: Loads all that is needed while the interpreter may still be read, by a first run, then becomes somebody else.
AS_NOBODY = f"""
import os, sys, tempfile
from fswatch_builder.cli.app import app
with tempfile.TemporaryDirectory() as directory:
    for tracker in ("auto", "inotify"):
        options = ["--tracker", tracker, "--audit", "-o", directory + "/o"]
        app(["track", *options, "--", directory, "true"], standalone_mode=False)
os.setgroups([])
os.setresgid({NOBODY}, {NOBODY}, {NOBODY})
os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
app()
"""


def as_nobody(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", AS_NOBODY, "track", *arguments],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": os.getcwd(), "HOME": "/"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def open_tree(tree: Path) -> Iterator[Path]:
    """One that the ordinary user owns, and may reach."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        opened = Path(shutil.move(tree, directory))
        subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", opened], check=True)
        yield opened


@pytest.mark.root
def test_it_works_without_root(open_tree: Path) -> None:
    done = as_nobody(open_tree, "--audit", "--tracker", "inotify", str(open_tree), "sh", "-ec", SCRIPT)
    assert done.returncode == 0, done.stderr
    assert "3 added, 4 modified, 1 replaced, 1 deleted" in done.stderr
    # Links may be counted at a price only that the command would pay.
    assert "unseen-links" in done.stderr


@pytest.mark.root
def test_a_file_that_may_not_be_read_is_named_with_a_way_out(open_tree: Path) -> None:
    os.chown(open_tree / "etc/conf", 0, 0)
    os.chmod(open_tree / "etc/conf", 0o600)
    done = as_nobody(open_tree, str(open_tree), "true")
    assert done.returncode == 1
    assert f"ERROR: cannot read {open_tree}/etc/conf" in done.stderr
    assert "Permission denied" in done.stderr
    assert "  hint: run it as root, or with --hash none, which reads no file" in done.stderr
    done = as_nobody(open_tree, "--hash", "none", str(open_tree), "sh", "-c", "echo 1 >new")
    assert done.returncode == 0, done.stderr
    assert "A  new" in done.stderr


@pytest.mark.root
def test_a_file_the_command_made_unreadable_is_compared_without_reading(open_tree: Path) -> None:
    done = as_nobody(open_tree, str(open_tree), "sh", "-c", "chmod 0 tool; echo 1 >new")
    assert done.returncode == 0, done.stderr
    assert "M  tool  mode 0644 -> 0000" in done.stderr
    assert "note: tool may not be read" in done.stderr
