"""A kernel that lacks a system call, or a container's profile that refuses one, is told by name and in time."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from fswatch_builder._native import refused_calls
from tests.support.refusing import CLOSE_RANGE, FSOPEN, MOUNT_SETATTR, OPENAT2

REPORT = """
import sys
from fswatch_builder.errors import SandboxError
from fswatch_builder.runtime import host, kernel
try:
    {check}()
except SandboxError as error:
    print(error.what, error.hint, sep="\\n")
"""


def under(refused: dict[int, int], *command: str) -> subprocess.CompletedProcess[str]:
    calls = [f"{number}={error}" for number, error in refused.items()]
    given = [sys.executable, "-m", "tests.support.refusing", *calls, "--", *command]
    return subprocess.run(given, capture_output=True, text=True, check=False, timeout=60)


def said(check: str, refused: dict[int, int]) -> str:
    done = under(refused, sys.executable, "-c", REPORT.format(check=check))
    assert done.returncode == 0, done.stderr
    return done.stdout


def build(directory: Path, dockerfile: str, refused: dict[int, int]) -> subprocess.CompletedProcess[str]:
    (directory / "Dockerfile").write_text(dockerfile)
    (directory / "f").write_text("x")
    command = [sys.executable, "-m", "fswatch_builder", "build", "--progress=plain", f"--store={directory}/store"]
    return under(refused, *command, str(directory))


def test_nothing_is_missing_here() -> None:
    assert refused_calls(for_run=False) == []
    assert said("kernel.check_files", {}) == ""


@pytest.mark.root
def test_nothing_that_a_run_needs_is_missing_here() -> None:
    assert refused_calls(for_run=True) == []
    assert said("host.check", {}) == ""


def test_a_kernel_that_is_too_old_is_told_with_the_call_and_the_least_version() -> None:
    text = said("kernel.check_files", {OPENAT2: errno.ENOSYS})
    assert "does not have what a build needs: openat2 (Linux 5.6)" in text
    assert "Linux 5.12 or newer" in text


def test_a_profile_that_refuses_a_call_is_told_as_that() -> None:
    """Docker before 20.10 refuses what it does not know with EPERM."""
    text = said("kernel.check_files", {OPENAT2: errno.EPERM})
    assert "is refused that a build needs: openat2" in text
    assert "seccomp=unconfined" in text


@pytest.mark.root
def test_all_that_is_missing_is_told_at_once() -> None:
    text = said("host.check", {CLOSE_RANGE: errno.ENOSYS, FSOPEN: errno.ENOSYS, MOUNT_SETATTR: errno.ENOSYS})
    assert "fsopen (Linux 5.2), close_range (Linux 5.9), mount_setattr (Linux 5.12)" in text


@pytest.mark.parametrize("refusal", [errno.ENOSYS, errno.EPERM])
def test_a_build_ends_before_it_begins(tmp_path: Path, refusal: int) -> None:
    done = build(tmp_path, "FROM nowhere.invalid/x\n", {OPENAT2: refusal})
    assert done.returncode == 8
    assert "openat2" in done.stderr


@pytest.mark.root
def test_what_only_a_run_needs_stops_only_a_run(tmp_path: Path) -> None:
    done = build(tmp_path, "FROM scratch\nCOPY f /\n", {CLOSE_RANGE: errno.ENOSYS})
    assert done.returncode == 0, done.stderr
    done = build(tmp_path, 'FROM scratch\nRUN ["/f"]\n', {CLOSE_RANGE: errno.ENOSYS})
    assert done.returncode == 8
    assert "close_range" in done.stderr
