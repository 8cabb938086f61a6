"""The streams, the terminal and the signals that a command under ``track`` shares with it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import fswatch_builder

#: Would outlive everything.
SLEEPER = ["setsid", "sh", "-c", "echo $$; exec sleep 600"]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_standard_stream_is_no_bug(tree: Path, closed: str) -> None:
    """Else the next file that is opened gets its number."""
    report = tree.with_name("report")
    inner = f"{sys.executable} -m fswatch_builder track -o {report} --json {tree} -- touch {tree}/new"
    done = subprocess.run(["sh", "-c", f"{inner} {closed}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "new" in report.read_text()
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m fswatch_builder track {tree} -- touch {tree}/new {closed}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("option", [("--json",), ("--layer", "-"), ("-o", "-")])
def test_a_reader_of_standard_output_that_went_away_has_a_status_of_its_own(
    tree: Path, option: tuple[str, ...]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "fswatch_builder", "track", *option, tree, "--", "touch", tree / "new"],
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writing)
    assert done.returncode == 128 + signal.SIGPIPE, done.stderr
    assert "ERROR" not in done.stderr


def test_nothing_of_a_command_s_terminal_is_taken_away(tree: Path) -> None:
    done = fswatch_builder("track", str(tree), "cat", stdin="from the user\n", env={"A": "b"})
    assert done.stdout == "from the user\n"
    assert fswatch_builder("track", str(tree), "sh", "-c", "echo $A", env={"A": "b"}).stdout == "b\n"


def test_ctrl_c_is_the_command_s_and_the_report_comes_all_the_same(tree: Path) -> None:
    script = "trap 'echo caught >caught; exit 5' INT; echo ready; while :; do sleep 0.1; done"
    command: list[str | Path] = [
        "env",
        "--default-signal=INT",
        sys.executable,
        "-m",
        "fswatch_builder",
        "track",
        tree,
        "sh",
        "-c",
        script,
    ]
    with subprocess.Popen(
        command,
        cwd=tree,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            os.killpg(process.pid, signal.SIGINT)
            _, told = process.communicate(timeout=30)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    assert process.returncode == 5, told
    assert "A  caught" in told
    assert "interrupted" not in told


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_that_ends_track_ends_the_command_and_what_it_left_behind(
    tree: Path, sent: signal.Signals, status: int
) -> None:
    script = "trap '' TERM HUP; sleep 600 & echo $! $$; wait"
    with subprocess.Popen(
        [sys.executable, "-m", "fswatch_builder", "track", tree, "sh", "-c", script],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        of_the_command = [int(pid) for pid in process.stdout.readline().split()]
        process.send_signal(sent)
        _, told = process.communicate(timeout=30)
    assert process.returncode == status, told
    assert "Traceback" not in told
    assert len(of_the_command) == 2
    for pid in of_the_command:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_terminal_that_goes_away_ends_track_and_a_command_in_a_session_of_its_own(tree: Path) -> None:
    """SIGHUP comes from the kernel, and what is said then cannot be written."""
    master, slave = os.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", sys.executable, "-m", "fswatch_builder", "track", tree, *SLEEPER],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    with process, open(master, "rb", buffering=0) as terminal:
        told = b""
        while b"\n" not in told:
            told += terminal.read(100)
        terminal.close()
        assert process.wait(30) == 129
    with pytest.raises(ProcessLookupError):
        os.kill(int(told), 0)


def test_under_nohup_track_goes_on(tree: Path) -> None:
    script = "kill -HUP $PPID; echo 1 >new"
    done = subprocess.run(
        ["nohup", sys.executable, "-m", "fswatch_builder", "track", tree, "sh", "-c", script],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "A  new" in done.stderr
