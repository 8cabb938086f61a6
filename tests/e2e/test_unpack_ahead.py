"""A new root file system archive is unpacked while it is imported, and believed if it is the layer that was found."""

import gzip
import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from fswatch_builder.build import ahead, unpacking
from fswatch_builder.errors import BaseImageError
from tests.support.bases import hard_base
from tests.support.builds import Workshop
from tests.support.kept import EPOCH, FROM_EARLIER, kept_notes, leftovers, trees
from tests.support.overlays import needs_overlay_tracker

pytestmark = [pytest.mark.root, needs_overlay_tracker]

LINES = "FROM base\nRUN ls -lR /l /odd /usr /acl /opaque /d >/list && echo x >>/l/a\n"


@pytest.fixture
def hard(workshop: Workshop, tmp_path: Path) -> Workshop:
    return replace(workshop, base=hard_base(workshop.base, tmp_path / "base.tar"))


@pytest.fixture
def no_second_unpacking(monkeypatch: pytest.MonkeyPatch) -> None:
    def unpack(*_: object) -> int:
        raise AssertionError("it is unpacked a second time")

    monkeypatch.setattr(unpacking, "unpack", unpack)


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
@pytest.mark.usefixtures("no_second_unpacking")
def test_the_first_build_reads_a_new_archive_once(hard: Workshop, compressed: bool) -> None:
    if compressed:
        packed = hard.base.with_suffix(".tar.gz")
        packed.write_bytes(gzip.compress(hard.base.read_bytes()))
        hard = replace(hard, base=packed)
    result = hard.build(LINES, build_args=EPOCH)
    assert len(trees(hard.store)) == 1
    assert leftovers(hard.store) == []
    again = hard.build(LINES, build_args=EPOCH, use_cache=False)
    assert kept_notes(again) == [FROM_EARLIER]
    assert again.built.manifest == result.built.manifest


def test_what_comes_of_it_is_what_a_fresh_unpacking_makes(hard: Workshop) -> None:
    result = hard.build(LINES, build_args=EPOCH, audit=True)
    plain = hard.build(LINES, store=hard.store / "plain", keep_bases=False, tracker="scan", build_args=EPOCH)
    assert result.names() == plain.names()
    assert result.text(result.layers[0], "list") == plain.text(plain.layers[0], "list")


def test_an_archive_that_changed_between_the_two_readings_is_unpacked_from_the_store(
    hard: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that unpacks reads another file than the one that imports."""
    other = hard.base.with_name("other.tar")
    shutil.copy(hard.base, other)
    content = other.read_bytes()
    other.write_bytes(content.replace(b"three names\n", b"THREE NAMES\n"))
    real = ahead.WholeFile.__init__
    monkeypatch.setattr(ahead.WholeFile, "__init__", lambda self, _path: real(self, str(other)))
    result = hard.build("FROM base\nRUN cat /l/a\n")
    assert "three names" in result.recorder.printed()
    assert leftovers(hard.store) == []


def test_an_archive_that_cannot_be_unpacked_is_told_as_ever(hard: Workshop) -> None:
    import tarfile

    bad = hard.base.with_name("bad.tar")
    with tarfile.open(bad, "w") as tar:
        tar.add("/dev/null", "etc/f")
        climbing = tarfile.TarInfo("etc/../../f")
        tar.addfile(climbing)
    with pytest.raises(BaseImageError, match=r"a name with \.\. in it would lead out"):
        replace(hard, base=bad).build("FROM base\nRUN true\n")
    assert not (hard.store.parent / "f").exists()
    assert trees(hard.store) == []


def test_a_build_that_needs_no_files_does_not_wait_for_them(hard: Workshop) -> None:
    hard.build("FROM base\nLABEL a=b\n")
    assert trees(hard.store) == []
    assert leftovers(hard.store) == []
    assert [thread.name for thread in threading.enumerate() if thread.name == "unpack ahead"] == []


def test_what_is_kept_already_is_not_unpacked_again(hard: Workshop) -> None:
    """The same content under another name, which has to be imported to be known."""
    hard.build(LINES)
    (tree,) = trees(hard.store)
    before = os.stat(tree)
    other = hard.base.with_name("other.tar")
    shutil.copy(hard.base, other)
    result = replace(hard, base=other).build("FROM base\nRUN echo y >/y\n")
    assert kept_notes(result) == [FROM_EARLIER]
    assert trees(hard.store) == [tree]
    assert os.stat(tree).st_ino == before.st_ino


#: A build whose import waits for ever after it has begun.
STUCK = """
import os, signal, sys, threading
from fswatch_builder.build import bases
def stuck(path, store):
    print("importing", flush=True)
    while True:  # one wait without an end could begin just when the signal has come, which would then end nothing
        threading.Event().wait(0.1)
bases._tar_layer = stuck
signal.signal(signal.SIGINT, signal.SIG_DFL)  # whoever runs the tests may ignore it
from fswatch_builder.cli.entry import main
main()
"""


def test_ctrl_c_ends_it_and_leaves_nothing(hard: Workshop) -> None:
    hard.write("Dockerfile", LINES)
    command = [sys.executable, "-c", STUCK, "build", str(hard.context), "--store", str(hard.store)]
    command += ["--build-context", f"base={hard.base}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        try:
            _, told = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "Traceback" not in told
    assert [name for name in os.listdir(hard.store / "work") if name != ".lock"] == []
