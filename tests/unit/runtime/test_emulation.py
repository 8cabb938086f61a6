"""Programs of other machines: those that ask whether they run here, and what is told if they do not."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from fswatch_builder._native import Emulators
from fswatch_builder.errors import SandboxError
from fswatch_builder.model.platform import Platform
from fswatch_builder.runtime import emulation
from fswatch_builder.runtime.run import Outcome
from tests.support.emulated import QEMU, emulator, why_impossible

ELSEWHERE = Platform("linux", "s390x" if Platform.host().architecture != "s390x" else "arm64")


@pytest.mark.parametrize("architecture", sorted(QEMU))
def test_the_program_of_a_machine_ends_at_once_with_status_0(architecture: str, tmp_path: Path) -> None:
    """By the emulator that would run it."""
    content = emulation.program(architecture)
    assert content is not None
    path = tmp_path / "program"
    path.write_bytes(content)
    path.chmod(0o755)
    done = subprocess.run([emulator(architecture), path], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_every_architecture_of_a_platform_has_one() -> None:
    from fswatch_builder.model.platform import ARCHITECTURES

    assert set(QEMU) == set(ARCHITECTURES)
    assert emulation.program("vax") is None


@pytest.mark.parametrize("variant", ["", "v3", "v9"])
def test_this_machine_s_own_is_not_asked_about(variant: str, tmp_path: Path) -> None:
    here = Platform.host()
    assert emulation.prepare(Platform(here.os, here.architecture, variant), str(tmp_path)) is None
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("platform", [Platform("windows", "amd64"), Platform("linux", "vax")])
def test_what_no_emulator_is_for_is_told(platform: Platform, tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match=f"a RUN for {platform} cannot be executed here") as caught:
        emulation.prepare(platform, str(tmp_path))
    assert "only programs for Linux" in (caught.value.hint or "")


def prepared(
    monkeypatch: pytest.MonkeyPatch, directory: Path, outcomes: list[int], installed: str | None
) -> emulation.Emulation | None:
    """On a machine where the program ends so, first as it is, then by the emulator that is installed."""
    monkeypatch.setattr(emulation, "run", lambda *_: Outcome(outcomes.pop(0), ""))
    monkeypatch.setattr(shutil, "which", lambda name: installed if name.endswith("-static") else None)
    return emulation.prepare(ELSEWHERE, str(directory))


@pytest.mark.parametrize(
    ("status", "what", "hint"),
    [
        (126, "there is no emulator for it", "qemu-user-static"),
        (127, "not opened before a root file system is entered", "flag F"),
        (132, "its emulator ends with status 132", "right one"),
    ],
)
def test_what_is_wrong_is_told_with_its_cure(
    status: int, what: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SandboxError, match=what) as caught:
        prepared(monkeypatch, tmp_path, [status], None)
    assert caught.value.what.startswith(f"a RUN for {ELSEWHERE} cannot be executed here, on {Platform.host()}: ")
    assert hint in (caught.value.hint or "")


def test_what_the_kernel_does_by_itself_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert prepared(monkeypatch, tmp_path, [0], "/usr/bin/qemu") is None


def test_a_kernel_without_such_namespaces_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(emulation, "Emulators", refuse)
    with pytest.raises(SandboxError, match="/usr/bin/qemu cannot be registered for its RUNs alone") as caught:
        prepared(monkeypatch, tmp_path, [126], "/usr/bin/qemu")
    assert "Linux 6.7" in (caught.value.hint or "")
    assert "binfmt-support" in (caught.value.hint or "")


@pytest.mark.root
@pytest.mark.skipif(why_impossible() is not None, reason=str(why_impossible()))
@pytest.mark.parametrize("line", [b"nothing", b":x:M::\\x7f:\\xff:/no/such/emulator:F"])
def test_a_line_that_the_kernel_refuses_is_an_error_of_the_line(line: bytes) -> None:
    with pytest.raises(OSError, match=r"No such file|Invalid argument") as caught:
        Emulators([line])
    assert caught.value.operation == "write"  # type: ignore[attr-defined]


@pytest.mark.root
@pytest.mark.skipif(why_impossible() is not None, reason=str(why_impossible()))
def test_nothing_is_left_of_a_namespace() -> None:
    def state() -> tuple[list[str], list[str]]:
        with open(f"/proc/self/task/{os.getpid()}/children") as children:
            return os.listdir("/proc/self/fd"), children.read().split()

    before = state()
    made = [Emulators([emulation.registration(ELSEWHERE.architecture, emulator(ELSEWHERE.architecture))])]
    assert len(state()[0]) == len(before[0]) + 2
    made.clear()
    assert [len(part) for part in state()] == [len(part) for part in before]
