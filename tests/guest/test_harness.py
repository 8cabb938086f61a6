"""The harness on the host, with no guest: a suite that fails, hangs or does not exist is never called passed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.guest import machine
from tests.guest.__main__ import PROJECT
from tests.guest.initramfs import Archive
from tests.guest.inside import run
from tests.guest.machine import SilentError
from tests.guest.suites import TABLES, TOO_LONG, Plan, Suite, Verdict, suites


def verdict(directory: Path, monkeypatch: pytest.MonkeyPatch, source: str | None, seconds: int = 60) -> Verdict:
    """How a suite of one test file ends; without ``source`` there is no file."""
    file = directory / "test_it.py"
    if source is not None:
        file.write_text(source)
    monkeypatch.setenv("TMPDIR", str(directory))
    suite = Suite("one", [str(file), "--rootdir", str(directory), "-c", os.devnull])
    return run(suite, Plan([suite], seconds_per_test=60, seconds_per_suite=seconds), directory / "log")


def test_a_suite_that_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = verdict(tmp_path, monkeypatch, "def test_well(): pass\n")
    assert (ended.status, ended.failures) == (0, [])
    assert ended.summary.startswith("1 passed")


def test_a_suite_that_fails_names_its_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = verdict(tmp_path, monkeypatch, "def test_ill(): assert 0\n")
    assert ended.status == 1
    assert "test_ill" in ended.failures[0]


@pytest.mark.parametrize("source", [None, "x = 1\n"])
def test_a_suite_without_a_test_has_not_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str | None
) -> None:
    assert verdict(tmp_path, monkeypatch, source).status != 0


def test_a_suite_that_hangs_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "import signal\ndef test_for_ever(): signal.pause()\n"
    assert verdict(tmp_path, monkeypatch, source, seconds=2).status == TOO_LONG


def test_a_guest_that_falls_silent_is_ended(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    program = f"echo $$ > {pid}; echo hello; exec sleep 1000"
    said = machine.lines(["sh", "-c", program], tmp_path / "complaints", first_seconds=20, seconds=0.1)
    assert next(said) == b"hello\n"
    with pytest.raises(SilentError):
        next(said)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_a_guest_that_ends_is_no_error(tmp_path: Path) -> None:
    said = machine.lines([sys.executable, "-c", "print('a')"], tmp_path / "complaints", first_seconds=20, seconds=20)
    assert list(said) == [b"a\n"]


def test_the_archive_is_one_that_others_read(tmp_path: Path) -> None:
    archive = Archive()
    archive.directory("d")
    archive.file("d/f", b"odd", 0o755)
    archive.file("d/empty", b"")
    subprocess.run(["busybox", "cpio", "-i"], input=archive.end(), cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "d/f").read_bytes() == b"odd"
    assert (tmp_path / "d/f").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "d/empty").read_bytes() == b""


def test_a_part_leaves_the_others_out_and_says_how_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "import pytest\n@pytest.mark.parametrize('n', range(10))\ndef test_it(n): assert n % 4 == 2\n"
    (tmp_path / "test_it.py").write_text(source)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    arguments = ["-p", "tests.guest.part", str(tmp_path / "test_it.py"), "--rootdir", str(tmp_path), "-c", os.devnull]
    suite = Suite("one", arguments, {"PART": "2/4"})
    ended = run(suite, Plan([suite], seconds_per_test=60, seconds_per_suite=60), tmp_path / "log")
    assert ended.status == 0
    assert ended.summary.startswith("2 passed, 8 deselected")


def test_the_parts_of_a_table_are_all_of_it() -> None:
    for name, (files, step) in TABLES.items():
        parts = {
            suite.environment["PART"]
            for seed in range(step)
            for suite in suites(None, seed, quick=True)
            if suite.name == name
        }
        assert parts == {f"{first}/{step}" for first in range(step)}
        assert all((PROJECT / file).exists() for file in files)
