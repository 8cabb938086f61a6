"""``run``: a command in an image, as docker run would start it, and nothing left behind."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.cli import fswatch_builder
from tests.support.overlays import needs_overlay_tracker
from tests.support.rootfs import busybox_rootfs

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces and mounts, which takes root"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("run")
    busybox_rootfs(str(directory / "busybox"))
    (directory / "Dockerfile").write_text(
        'FROM base\nENV A=image B=image\nWORKDIR /srv/here\nENTRYPOINT ["/bin/sh", "-c"]\nCMD ["echo cmd $0 $*"]\n'
    )
    fswatch_builder(
        *("build", f"--store={directory}/store", "-t=app:1", f"--build-context=base={directory}/busybox"),
        str(directory),
    )
    return directory / "store"


def run(store: Path, *arguments: str, stdin: str = "", **more: object) -> "subprocess.CompletedProcess[str]":
    done = fswatch_builder("run", f"--store={store}", *arguments, check=False, stdin=stdin, **more)  # type: ignore[arg-type]
    assert nothing_is_left(store)
    return done


def nothing_is_left(store: Path) -> bool:
    """No root file system, and no mount in one."""
    left = [name for name in os.listdir(store / "work") if name != ".lock"]
    return not left and str(store) not in Path("/proc/self/mountinfo").read_text()


def printed(store: Path, *arguments: str, stdin: str = "", **more: object) -> str:
    done = run(store, *arguments, stdin=stdin, **more)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@needs_overlay_tracker
def test_what_is_kept_of_the_image_is_begun_with_and_what_was_changed_is_gone(store: Path) -> None:
    script = "cat /proc/mounts; test ! -e /new && echo x >/new && rm /etc/group"
    for _ in range(2):
        assert re.search(r"^\S+ / overlay ", printed(store, "app:1", script), re.MULTILINE)
    (tree,) = (store / "kept/tree").iterdir()
    assert (tree / "rootfs/etc/group").exists()
    assert not (tree / "rootfs/new").exists()


def test_entrypoint_and_cmd_are_docker_s(store: Path) -> None:
    assert printed(store, "app:1") == "cmd /bin/sh\n"
    assert printed(store, "app:1", "echo words $0 $*", "x", "y") == "words x y\n"
    assert printed(store, "--entrypoint", "echo", "app:1", "-n", "words") == "words"
    assert printed(store, "--entrypoint", "echo", "app:1") == "\n"  # the image's CMD goes with its ENTRYPOINT
    assert printed(store, "--entrypoint", "", "app:1", "echo", "plain") == "plain\n"
    refused = run(store, "--entrypoint", "", "app:1")
    assert refused.returncode == 125
    assert "no command" in refused.stderr


def test_options_after_the_image_are_the_command_s(store: Path) -> None:
    assert printed(store, "--entrypoint=echo", "app:1", "-e", "--help", "--", "x") == "--help -- x\n"


def test_environment_directory_and_user(store: Path, tmp_path: Path) -> None:
    show = "echo $A $B $C $D $TERM; pwd; id -u; id -g; hostname"
    (tmp_path / "env").write_text("# none\n\nC=file\nD\n")
    options = ["-e", "B=mine", "--env-file", str(tmp_path / "env"), "--hostname=box"]
    assert printed(store, *options, "app:1", show, env={"D": "host"}) == "image mine file host\n/srv/here\n0\n0\nbox\n"
    told = printed(store, "-u", "app", "-w", "/made/for/it", "app:1", "pwd; id -un; ls -ld /made/for/it | cut -c1-10")
    assert told == "/made/for/it\napp\ndrwxr-xr-x\n"
    assert "SECRET" not in printed(store, "app:1", "env", env={"SECRET": "x"})
    assert run(store, "-w", "relative", "app:1").returncode == 125
    assert "unable to find user" in run(store, "-u", "nobody-such", "app:1").stderr


def test_the_exit_status_is_the_command_s(store: Path) -> None:
    assert run(store, "app:1", "exit 7").returncode == 7
    assert run(store, "app:1", "kill -9 $$; sleep 9").returncode in (0, 137)
    missing = run(store, "--entrypoint", "no-such", "app:1")
    assert missing.returncode == 127
    assert "no-such: command not found" in missing.stderr
    assert run(store, "--entrypoint", "/etc/passwd", "app:1").returncode == 126
    unknown = run(store, "nope:1")
    assert unknown.returncode == 125
    assert "there is no image nope:1" in unknown.stderr


def test_streams_are_apart_and_as_they_are(store: Path) -> None:
    done = run(store, "app:1", "printf out; printf err >&2")
    assert (done.stdout, done.stderr) == ("out", "err")


def test_standard_input_is_handed_on_only_if_asked_for(store: Path) -> None:
    assert printed(store, "app:1", "cat", stdin="typed") == ""
    assert printed(store, "-i", "app:1", "cat", stdin="typed\n" * 50_000) == "typed\n" * 50_000
    assert printed(store, "-i", "app:1", "true", stdin="typed\n" * 50_000) == ""  # nobody reads it


def test_a_file_for_standard_input_cannot_be_opened_anew(store: Path, tmp_path: Path) -> None:
    secret = tmp_path / "file"
    secret.write_text("kept\n")
    command = [sys.executable, "-m", "fswatch_builder", "run", f"--store={store}", "-i", "app:1"]
    with open(secret) as stdin:
        subprocess.run([*command, "cat; echo evil > /proc/self/fd/0"], stdin=stdin, check=False, capture_output=True)
    assert secret.read_text() == "kept\n"


def test_changes_are_gone(store: Path) -> None:
    assert printed(store, "app:1", "echo x > /new; ls /new") == "/new\n"
    assert run(store, "app:1", "ls /new").returncode == 1


def test_processes_left_behind_end_with_the_first(store: Path) -> None:
    assert printed(store, "app:1", "sleep 987654 & echo started") == "started\n"
    assert "987654" not in subprocess.run(["ps", "-eo", "args"], check=True, capture_output=True, text=True).stdout


def test_a_user_may_open_standard_output_by_its_name(store: Path) -> None:
    assert printed(store, "-u", "app", "app:1", "echo named > /dev/stdout") == "named\n"


def test_a_network_of_its_own_is_a_loopback_alone(store: Path) -> None:
    interfaces = "cut -d: -f1 -s /proc/net/dev | tr -d ' '"
    assert printed(store, "--network", "none", "app:1", interfaces) == "lo\n"
    there = Path("/proc/net/dev").read_text()
    names = [line.partition(":")[0].strip() for line in there.splitlines() if ":" in line]
    assert printed(store, "--network=host", "app:1", interfaces).split() == names
    refused = run(store, "--network", "bridge", "app:1")
    assert refused.returncode == 125
    assert "want host or none" in refused.stderr


def test_what_docker_has_and_we_do_not_is_refused_by_name(store: Path) -> None:
    refused = run(store, "-v", "/:/host", "app:1", "true")
    assert refused.returncode == 125
    assert "-v: a command sees the image and nothing of the host" in refused.stderr
    assert "nothing of the host" in refused.stderr
    assert "not a TTY" in run(store, "-t", "app:1", "true").stderr


def test_nonsense_in_a_configuration_is_no_way_out(store: Path, tmp_path: Path) -> None:
    from tests.support.images import make_image, put_in_store

    nonsense = {"Cmd": ["/x"], "User": "99999999999", "WorkingDir": "../../etc", "Env": ["no sign", "=empty", "A=b"]}
    put_in_store(tmp_path / "store", {"odd:1": make_image([{"x": b"x"}], config=nonsense)})
    done = run(tmp_path / "store", "odd:1")
    assert done.returncode == 125
    assert "out of range" in done.stderr
    put_in_store(tmp_path / "store", {"odd:2": make_image([{"etc": b"x"}], config={**nonsense, "User": ""})})
    done = run(tmp_path / "store", "odd:2")
    assert done.returncode == 125
    assert "/etc" in done.stderr


def test_what_an_image_calls_its_command_does_not_steer_a_terminal(tmp_path: Path) -> None:
    from tests.support.images import make_image, put_in_store

    evil = {"Cmd": ["\x1b[2J"], "Env": ["PATH=/x"]}
    nul = {"Cmd": ["/x"], "Env": ["A=\0"]}
    images = {"evil:1": make_image(config=evil), "nul:1": make_image(config=nul)}
    put_in_store(tmp_path / "store", images)
    done = run(tmp_path / "store", "evil:1")
    assert done.returncode == 127
    assert "command not found" in done.stderr
    assert "\x1b" not in done.stderr
    assert "a NUL byte" in run(tmp_path / "store", "nul:1").stderr


@contextmanager
def running(store: Path, *arguments: str, **streams: object) -> "Iterator[subprocess.Popen[bytes]]":
    command = [sys.executable, "-m", "fswatch_builder", "run", f"--store={store}", *arguments]
    with subprocess.Popen(command, **streams) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_all_of_it_and_cleans_up(store: Path, number: signal.Signals, status: int) -> None:
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with running(store, "app:1", "echo started; sleep 876543", **streams) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        process.send_signal(number)
        assert process.wait() == status
    assert nothing_is_left(store)
    assert "876543" not in subprocess.run(["ps", "-eo", "args"], check=True, capture_output=True, text=True).stdout


def test_who_stops_reading_ends_it(store: Path) -> None:
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with running(store, "app:1", "yes", **streams) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.wait() == 141
    assert nothing_is_left(store)


class Terminal:
    """Our side of one: what is typed, and what is shown."""

    def __init__(self, master: int) -> None:
        self.master = master
        self.shown = b""

    def type(self, text: bytes) -> None:
        os.write(self.master, text)

    def until(self, text: bytes) -> None:
        deadline = time.monotonic() + 60
        while text not in self.shown:
            ready, _, _ = select.select([self.master], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, self.shown
            self.shown += os.read(self.master, 4096)


@contextmanager
def on_a_terminal(store: Path, *arguments: str) -> "Iterator[tuple[subprocess.Popen[bytes], Terminal]]":
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
    try:
        with running(store, *arguments, stdin=slave, stdout=slave, stderr=slave, start_new_session=True) as process:
            yield process, Terminal(master)
    finally:
        os.close(master)
        os.close(slave)


def test_a_terminal_begets_a_terminal(store: Path) -> None:
    with on_a_terminal(store, "--entrypoint=sh", "app:1") as (process, terminal):
        terminal.type(b"test -t 0 && echo is-$((40+2)); stty size; echo term=$TERM; exit 5\n")
        terminal.until(b"term=xterm")
        assert b"is-42" in terminal.shown
        assert b"33 101" in terminal.shown
        assert process.wait() == 5
    assert nothing_is_left(store)


def test_keys_of_a_terminal_are_the_command_s(store: Path) -> None:
    with on_a_terminal(store, "--entrypoint=sh", "app:1") as (process, terminal):
        terminal.type(b"trap 'echo caught-$((1+1))' INT; echo ready-$((1+1)); while :; do sleep 1; done\n")
        terminal.until(b"ready-2")
        terminal.type(b"\x03")
        terminal.until(b"caught-2")
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 143
    assert nothing_is_left(store)


def test_the_terminal_is_as_it_was_afterwards(store: Path) -> None:
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    with running(store, "app:1", "true", stdin=slave, stdout=slave, stderr=slave) as process:
        assert process.wait() == 0
    assert termios.tcgetattr(slave) == before
    os.close(master)
    os.close(slave)


def test_without_a_terminal_if_asked(store: Path) -> None:
    with on_a_terminal(store, "--no-tty", "app:1", "test -t 0 || echo none-$((1+1))") as (process, terminal):
        terminal.until(b"none-2")
        assert process.wait() == 0
