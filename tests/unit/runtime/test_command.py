"""A command on the host: found, executed and ended as a shell would, and never left half alive."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fswatch_builder._native import HostCommand
from fswatch_builder.errors import RunError
from fswatch_builder.runtime import command
from fswatch_builder.runtime.command import CommandOutcome, run_command


class Onlooker:
    def __init__(self) -> None:
        self.told: list[int] = []

    def left_behind(self, processes: int) -> None:
        self.told.append(processes)


def attempt(*argv: str, cwd: Path | None = None, onlooker: Onlooker | None = None) -> CommandOutcome:
    directory = None if cwd is None else os.fsencode(cwd)
    return run_command([os.fsencode(word) for word in argv], cwd=directory, witness=False, onlooker=onlooker)


@pytest.mark.parametrize(
    ("argv", "status"),
    [
        (("true",), 0),
        (("sh", "-c", "exit 3"), 3),
        (("sh", "-c", "exit 255"), 255),
        (("sh", "-c", "kill -9 $$"), 137),
        (("sh", "-c", "kill -15 $$"), 143),
        (("sh", "-c", "no-such-command 2>/dev/null"), 127),
    ],
)
def test_exit_status_is_that_of_a_shell(argv: tuple[str, ...], status: int) -> None:
    assert attempt(*argv) == CommandOutcome(status, None, 0)


@pytest.mark.parametrize(
    ("name", "status", "problem"),
    [
        ("no-such-command", 127, "no-such-command: command not found"),
        ("./no-such-command", 127, "./no-such-command: No such file or directory"),
        ("/etc/passwd", 126, "/etc/passwd: Permission denied"),
        ("/etc", 126, "/etc: Permission denied"),
        ("", 127, ": command not found"),
    ],
)
@pytest.mark.parametrize("witness", [False, True])
def test_what_cannot_be_executed_is_told_with_its_cause(name: str, status: int, problem: str, witness: bool) -> None:
    outcome = run_command([os.fsencode(name)], witness=witness)
    assert outcome == CommandOutcome(status, 0, 0, problem)


def test_a_directory_that_is_not_there_is_not_taken_for_a_missing_command(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"cannot run in .*missing: No such file"):
        attempt("true", cwd=tmp_path / "missing")


def test_a_script_without_an_interpreter_line_runs_under_sh(tmp_path: Path) -> None:
    (tmp_path / "script").write_text("exit 5\n")
    (tmp_path / "script").chmod(0o755)
    assert attempt("./script", cwd=tmp_path).exit_status == 5


def test_it_has_our_environment_directory_and_streams(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAID", "so")
    attempt("sh", "-c", "echo $SAID; pwd; echo err >&2", cwd=tmp_path)
    out, err = capfd.readouterr()
    assert (out.split(), err) == (["so", str(tmp_path)], "err\n")


def test_it_has_no_descriptor_but_the_streams() -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN_AND_TELL, "ls", "/proc/self/fd"], capture_output=True, check=True, text=True
    )
    # ls opens the directory as its fourth.
    assert done.stdout.split()[:4] == ["0", "1", "2", "3"]
    assert json.loads(done.stdout.splitlines()[4]) == [0, 0]


@pytest.mark.parametrize("name", ["SIGPIPE", "SIGXFSZ", "SIGINT", "SIGQUIT", "SIGCHLD"])
def test_signals_do_in_it_what_they_do_by_default(name: str) -> None:
    number = signal.Signals[name]
    ignored = subprocess.run(
        [sys.executable, "-c", RUN_AND_TELL, "grep", "SigIgn", "/proc/self/status"], capture_output=True, check=True
    )
    assert not int(ignored.stdout.split()[1], 16) >> (number - 1) & 1


RUN_AND_TELL = """
import json, os, sys
from fswatch_builder.runtime.command import run_command
class Onlooker:
    def left_behind(self, processes):
        print("waiting for", processes, flush=True)
outcome = run_command([os.fsencode(word) for word in sys.argv[1:]], witness=False, onlooker=Onlooker())
print(json.dumps([outcome.exit_status, outcome.survivors]), flush=True)
"""


def test_what_the_caller_ignores_stays_ignored() -> None:
    """As under nohup(1)."""
    ignore = (
        "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    argv = [sys.executable, "-c", RUN_AND_TELL, "grep", "SigIgn", "/proc/self/status"]
    done = subprocess.run([sys.executable, "-c", ignore, *argv[1:]], capture_output=True, check=True)
    assert int(done.stdout.split()[1], 16) >> (signal.SIGHUP - 1) & 1


# -- processes left behind --------------------------------------------------------------------------------------------


def test_a_daemon_has_ended_when_we_return(tmp_path: Path) -> None:
    script = "(setsid sh -c 'sleep 0.3; echo last >file' & ) ; exit 4"
    outcome = attempt("sh", "-c", script, cwd=tmp_path)
    assert (outcome.exit_status, outcome.survivors >= 1) == (4, True)
    assert (tmp_path / "file").read_text() == "last\n"


def test_we_are_told_once_when_it_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "PATIENCE_S", 0.05)
    onlooker = Onlooker()
    attempt("sh", "-c", "sleep 0.5 & sleep 0.6 & exit 0", onlooker=onlooker)
    assert onlooker.told == [2]


def test_nobody_is_told_of_what_ends_at_once() -> None:
    onlooker = Onlooker()
    assert attempt("sh", "-c", "sleep 0.01 & exit 0", onlooker=onlooker).survivors == 1
    assert onlooker.told == []


def test_orphans_are_reaped_while_the_command_runs() -> None:
    script = "for i in 1 2 3 4 5; do (true & ); done; until ! ps -o stat= --ppid $PPID | grep -q Z; do :; done"
    assert attempt("sh", "-c", script).exit_status == 0


def test_a_process_with_children_of_its_own_is_refused() -> None:
    child = subprocess.Popen(["sleep", "1000"])
    try:
        with pytest.raises(RuntimeError, match="there must be none"):
            attempt("true")
    finally:
        child.kill()
        child.wait()


def test_nothing_of_ours_is_changed_afterwards() -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGCHLD)]
    descriptors = len(os.listdir("/proc/self/fd"))
    attempt("true")
    attempt("no-such-command")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGCHLD)] == handlers
    assert len(os.listdir("/proc/self/fd")) == descriptors


# -- signals ----------------------------------------------------------------------------------------------------------


class Terminal:
    """A runner in a process group of its own: what a key sends goes to the whole group."""

    def __init__(self, *argv: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN_AND_TELL, *argv], stdout=subprocess.PIPE, text=True, process_group=0
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def press(self, number: int) -> None:
        os.killpg(self.process.pid, number)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.press(signal.SIGKILL)
        self.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_a_key_ends_the_command_and_we_tell_how(number: int) -> None:
    with Terminal("sh", "-c", "ulimit -c 0; echo ready; exec sleep 1000") as terminal:
        assert terminal.line() == "ready"
        terminal.press(number)
        assert json.loads(terminal.line()) == [128 + number, 0]


def test_a_command_that_handles_the_key_goes_on() -> None:
    script = "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.05; done"
    with Terminal("sh", "-c", script) as terminal:
        assert terminal.line() == "ready"
        terminal.press(signal.SIGINT)
        assert terminal.line() == "caught"
        assert json.loads(terminal.line()) == [9, 0]


def test_a_key_ends_those_left_behind_though_they_ignore_it() -> None:
    script = "(trap '' INT; sh -c 'sleep 1000 & sleep 1001' & ) ; exit 6"
    with Terminal("sh", "-c", script) as terminal:
        assert terminal.line().startswith("waiting for ")
        terminal.press(signal.SIGINT)
        status, survivors = json.loads(terminal.line())
        assert (status, survivors >= 3) == (6, True)


def test_an_exception_ends_everything_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class ImpatientError(Exception):
        pass

    class Impatient(Onlooker):
        def left_behind(self, processes: int) -> None:
            raise ImpatientError

    monkeypatch.setattr(command, "PATIENCE_S", 0.0)
    script = "(setsid sh -c 'while :; do echo >>file; done' & ) ; until test -s file; do :; done"
    with pytest.raises(ImpatientError):
        attempt("sh", "-c", script, cwd=tmp_path, onlooker=Impatient())
    assert nothing_grows(lambda: (tmp_path / "file").stat().st_size)


def nothing_grows(size: Callable[[], int]) -> bool:
    before = size()
    time.sleep(0.1)  # a writer that is alive writes in that time; one that is dead never does
    return size() == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_at_the_first_instant_of_a_command_ends_it(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class Ended(BaseException):
        pass

    def end(_number: int, _frame: object) -> None:
        raise Ended

    def begin(*args: object, **settings: object) -> object:
        begun = HostCommand(*args, **settings)  # type: ignore[arg-type]
        signal.raise_signal(number)  # as one that comes before the call has returned
        return begun

    monkeypatch.setattr(command, "HostCommand", begin)
    before = signal.signal(number, end)
    try:
        with pytest.raises(Ended):
            attempt("sh", "-c", "trap '' TERM HUP; sleep 600 & wait")
        assert signal.getsignal(number) is end
    finally:
        signal.signal(number, before)
    with pytest.raises(ChildProcessError):
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)
