"""How a command is found, what it prints, how it ends."""

import os
from pathlib import Path

import pytest

from fswatch_builder._native import Rootfs
from fswatch_builder.errors import RunError, SandboxError
from fswatch_builder.runtime import host
from fswatch_builder.runtime.run import LONGEST_LINE, TAIL_LINE, TAIL_LINES, Command, run
from tests.support.running import PATH, Recorder, attempt, inhabitants, says, shell

pytestmark = pytest.mark.root


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("true", 0),
        ("exit 3", 3),
        ("exit 255", 255),
        ("no-such-command", 127),
        ("/etc/passwd", 126),
        # The first process of a PID namespace cannot send itself a deadly signal, so another one has to die of it.
        ("sh -c 'kill -9 $$'; exit $?", 137),
        ("sh -c 'kill -15 $$'; exit $?", 143),
    ],
)
def test_exit_code(rootfs: Rootfs, script: str, code: int) -> None:
    outcome, _ = attempt(rootfs, script)
    assert outcome.exit_code == code


def test_the_first_process_killed_by_a_signal_is_128_and_the_signal(root: Path, rootfs: Rootfs) -> None:
    # A segmentation fault of its own kills even the first process; here the host sends the signal.
    class Killer(Recorder):
        def write(self, stream: object, data: bytes) -> None:
            for pid in inhabitants(root):
                os.kill(pid, 9)

    assert run(rootfs, shell("echo ready; while :; do :; done"), Killer()).exit_code == 137


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (("no-such-command", "x"), 127, "no-such-command: command not found"),
        (("/etc/passwd",), 126, "/etc/passwd: Permission denied"),
        (("/etc",), 126, "/etc: Permission denied"),
        (("",), 127, "command not found"),
    ],
)
def test_exec_form_that_cannot_be_executed(rootfs: Rootfs, argv: tuple[str, ...], code: int, message: str) -> None:
    recorder = Recorder()
    outcome = run(rootfs, Command(argv, (PATH,), "/"), recorder)
    assert outcome.exit_code == code
    assert message in outcome.tail
    assert recorder.text("stderr") == outcome.tail


def test_path_is_searched_inside_past_what_may_not_be_executed(root: Path, rootfs: Rootfs) -> None:
    for directory, mode in (("first", 0o644), ("second", 0o755)):
        (root / directory).mkdir()
        (root / directory / "tool").write_text(f"#!/bin/sh\necho {directory}\n")
        (root / directory / "tool").chmod(mode)
    recorder = Recorder()
    run(rootfs, Command(("tool",), ("PATH=/nowhere:/etc/passwd:/first:/second:/bin",), "/"), recorder)
    assert recorder.text() == "second\n"


def test_a_missing_working_directory_is_told(rootfs: Rootfs) -> None:
    with pytest.raises(RunError, match="/no/such: No such file or directory"):
        run(rootfs, shell("true", cwd="/no/such"), Recorder())


@pytest.mark.parametrize("cwd", [f"/proc/self/fd/{number}" for number in range(3, 24)])
def test_a_descriptor_is_no_way_out_of_the_root(rootfs: Rootfs, cwd: str) -> None:
    # CVE-2024-21626
    with pytest.raises(RunError):
        run(rootfs, shell("ls ../../..", cwd=cwd), Recorder())


def test_both_streams_arrive_line_by_line_and_apart(rootfs: Rootfs) -> None:
    _, recorder = attempt(rootfs, "echo a; echo b >&2; printf 'c\\nd'")
    assert [data for name, data in recorder.writes if name == "stdout"] == [b"a\n", b"c\n", b"d"]
    assert [data for name, data in recorder.writes if name == "stderr"] == [b"b\n"]


def test_output_arrives_while_the_command_runs(root: Path, rootfs: Rootfs) -> None:
    class Answer(Recorder):
        def write(self, stream: object, data: bytes) -> None:
            if data == b"ready\n":
                (root / "tmp/answer").write_text("")

    script = "echo ready; until test -e /tmp/answer; do sleep 0.01; done"
    assert run(rootfs, shell(script), Answer()).exit_code == 0


def test_output_is_complete_also_what_came_last(rootfs: Rootfs) -> None:
    text = says(rootfs, "seq 1 100000")
    assert text.splitlines() == [str(number) for number in range(1, 100001)]


def test_a_line_without_end_does_not_fill_the_memory(rootfs: Rootfs) -> None:
    outcome, recorder = attempt(rootfs, "head -c 1000000 /dev/zero")
    assert sum(len(data) for _, data in recorder.writes) == 1000000
    assert max(len(data) for _, data in recorder.writes) <= LONGEST_LINE + (1 << 16)
    assert len(outcome.tail) <= TAIL_LINES * (TAIL_LINE + 4)


def test_the_tail_is_the_last_lines(rootfs: Rootfs) -> None:
    outcome, _ = attempt(rootfs, "seq 1 1000; exit 1")
    assert outcome.tail.splitlines() == [str(number) for number in range(981, 1001)]


def test_a_host_that_cannot_isolate_is_told_before_anything_is_made(
    root: Path, rootfs: Rootfs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise SandboxError("no")

    monkeypatch.setattr(host, "check", refuse)
    with pytest.raises(SandboxError):
        run(rootfs, shell("true"), Recorder())
    assert not (root / "proc").exists()


@pytest.mark.parametrize("user", ["", "1000", "1000:1001"])
def test_dev_stdout_can_be_opened_by_whoever_runs(rootfs: Rootfs, user: str) -> None:
    outcome, recorder = attempt(rootfs, "echo out >/dev/stdout; echo err >/proc/self/fd/2", user=user)
    assert outcome.exit_code == 0
    assert (recorder.text("stdout"), recorder.text("stderr")) == ("out\n", "err\n")
