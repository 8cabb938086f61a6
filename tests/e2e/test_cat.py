"""``cat``: the final view of a file through layers, and no way out of the image."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.support.cli import fswatch_builder
from tests.support.images import layer_of, make_image, member, put_in_store

BASE = layer_of(
    member("etc", kind=tarfile.DIRTYPE),
    member("etc/os-release", b"ID=base\n"),
    member("etc/gone", b"x"),
    member("etc/kept", b"kept\n"),
    member("usr/bin/tool", b"\x00\xff\x01"),
    member("bin", kind=tarfile.SYMTYPE, link="usr/bin"),
    member("dir/old", b"old\n"),
    member("replaced/f", b"below\n"),
    member("shared", b"one inode\n"),
)
TOP = layer_of(
    member("etc/os-release", b"ID=top\n"),
    member("etc/.wh.gone"),
    member("dir/.wh..wh..opq"),
    member("dir/new", b"new\n"),
    member("replaced", b"a file now\n"),
    member("again", kind=tarfile.LNKTYPE, link="shared"),
    member("rel", kind=tarfile.SYMTYPE, link="etc/../etc/kept"),
    member("abs", kind=tarfile.SYMTYPE, link="/etc/kept"),
    member("out", kind=tarfile.SYMTYPE, link="../../../../../../etc/os-release"),
    member("passwd", kind=tarfile.SYMTYPE, link="/etc/passwd"),
    member("loop", kind=tarfile.SYMTYPE, link="loop"),
    member("fifo", kind=tarfile.FIFOTYPE),
    member("odd\nname", b"odd\n"),
)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    put_in_store(tmp_path / "store", {"app:1": make_image([BASE, TOP])})
    return tmp_path / "store"


def cat(store: Path, path: str) -> "subprocess.CompletedProcess[str]":
    return fswatch_builder("cat", f"--store={store}", "app:1", path, check=False)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/etc/os-release", "ID=top\n"),
        ("etc/kept", "kept\n"),
        ("//etc/./kept", "kept\n"),
        ("/dir/new", "new\n"),
        ("/replaced", "a file now\n"),
        ("/again", "one inode\n"),
        ("/rel", "kept\n"),
        ("/abs", "kept\n"),
        ("/out", "ID=top\n"),
        ("../../etc/kept", "kept\n"),
        ("/bin/../bin/../../etc/kept", "kept\n"),
        ("odd\nname", "odd\n"),
    ],
)
def test_the_file_that_a_container_would_see(store: Path, path: str, content: str) -> None:
    done = cat(store, path)
    assert (done.returncode, done.stdout, done.stderr) == (0, content, "")


def test_bytes_are_as_they_are(store: Path) -> None:
    command = [sys.executable, "-m", "fswatch_builder", "cat", f"--store={store}", "app:1", "/bin/tool"]
    assert subprocess.run(command, check=True, capture_output=True).stdout == b"\x00\xff\x01"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/etc/gone", "there is no /etc/gone in app:1"),
        ("/dir/old", "/dir has new"),
        ("/replaced/f", "/replaced is no directory"),
        ("/passwd", "which leads to /etc/passwd"),  # the host has one
        ("/loop", "Too many levels of symbolic links"),
        ("/etc", "/etc has kept, os-release"),
        ("/", "/ is a directory"),
        ("", "/ is a directory"),
        ("/fifo", "not a file of app:1 but a fifo"),
        ("/etc/kept/", "/etc/kept is no directory"),
        ("/x\x1b[2J", "there is no /x"),
    ],
)
def test_what_is_no_file_is_told_as_what_it_is(store: Path, path: str, told: str) -> None:
    done = cat(store, path)
    assert done.returncode == 5
    assert done.stdout == ""
    assert told in done.stderr
    assert "\x1b" not in done.stderr


def test_a_damaged_layer_prints_nothing(tmp_path: Path) -> None:
    image = make_image([BASE, TOP])
    store = tmp_path / "store"
    put_in_store(store, {"app:1": image})
    from tests.support.images import digest

    blob = store / "blobs/sha256" / digest(image.layers[0]).removeprefix("sha256:")
    blob.write_bytes(make_image([{"etc/kept": b"forged\n"}]).layers[0])
    done = cat(store, "/etc/kept")
    assert (done.returncode, done.stdout) == (5, "")
    assert "is damaged" in done.stderr


def test_who_stops_reading_ends_it_quietly(tmp_path: Path) -> None:
    store = tmp_path / "store"
    put_in_store(store, {"app:1": make_image([layer_of(member("big", os.urandom(1 << 20)))])})
    command = [sys.executable, "-m", "fswatch_builder", "cat", f"--store={store}", "app:1", "/big"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.read(1)
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait() == 141


def test_a_full_disk_is_told(store: Path) -> None:
    command = [sys.executable, "-m", "fswatch_builder", "cat", f"--store={store}", "app:1", "/etc/kept"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, check=False, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 9
    assert "No space left" in done.stderr
