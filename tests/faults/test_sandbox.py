"""A RUN dies whole, whatever ends it, and leaves nothing on the host."""

import gc
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from fswatch_builder._native import Mount, Rootfs, RunSpec, Sandbox, spawn
from fswatch_builder.runtime.run import Command, Outcome, run
from tests.support.rootfs import busybox_rootfs
from tests.support.running import Recorder, attempt, inhabitants, shell

pytestmark = pytest.mark.root

WRITER = "while :; do echo x >> /tmp/log; done"


def children() -> set[int]:
    with open("/proc/thread-self/children") as file:
        return {int(pid) for pid in file.read().split()}


def children_of_all_threads() -> set[int]:
    found: set[int] = set()
    for thread in os.listdir("/proc/self/task"):
        with suppress(FileNotFoundError), open(f"/proc/self/task/{thread}/children") as file:
            found.update(int(pid) for pid in file.read().split())
    return found


def await_file(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.005)


@contextmanager
def started(rootfs: Rootfs, script: str) -> Iterator[Sandbox]:
    null = os.open("/dev/null", os.O_WRONLY)
    spec = RunSpec([b"/bin/sh", b"-c", script.encode()], [b"PATH=/bin"], b"/")
    try:
        yield spawn(rootfs, spec, null, null)
    finally:
        os.close(null)


def test_a_daemon_is_dead_when_the_command_has_ended(root: Path, rootfs: Rootfs) -> None:
    script = f"setsid sh -c '{WRITER}' & setsid sh -c '{WRITER}' & until test -s /tmp/log; do :; done; exit 5"
    outcome, _ = attempt(rootfs, script)
    assert outcome.exit_code == 5
    assert (root / "tmp/log").stat().st_size > 0
    assert inhabitants(root) == []


def test_a_daemon_that_holds_the_pipe_does_not_hang_us(rootfs: Rootfs) -> None:
    outcome, recorder = attempt(rootfs, "sleep 1000 & echo started")
    assert (outcome.exit_code, recorder.text()) == (0, "started\n")


def test_nobody_inherits_the_dead_and_no_mount_is_left(root: Path, rootfs: Rootfs) -> None:
    before = children()
    for _ in range(3):
        attempt(rootfs, "sleep 1000 & true")
        attempt(rootfs, "false")
    assert children() == before
    # Other tests, in other processes, mount things of their own.
    assert str(root) not in Path("/proc/self/mountinfo").read_text()


def test_descriptors_are_not_leaked(rootfs: Rootfs) -> None:
    attempt(rootfs, "true")
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        attempt(rootfs, "true")
        with pytest.raises(FileNotFoundError):
            spawn(rootfs, RunSpec([b"no-such"], [], b"/"), 1, 2)
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


class Interrupting(Recorder):
    """Sends a signal to this process once the command is under way."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def write(self, stream: object, data: bytes) -> None:
        os.kill(os.getpid(), self.number)


class Terminated(BaseException):
    pass


@pytest.mark.parametrize(("number", "exception"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_an_interrupt_kills_the_tree_and_takes_the_stubs_away(
    root: Path, rootfs: Rootfs, number: int, exception: type[BaseException]
) -> None:
    def terminate(_number: int, _frame: object) -> None:
        raise exception

    before = sorted(os.listdir(root))
    known = children()
    previous = signal.signal(number, terminate)
    try:
        with pytest.raises(exception):
            run(rootfs, shell(f"trap '' INT TERM; ({WRITER}) & echo ready; wait"), Interrupting(number))
    finally:
        signal.signal(number, previous)
    assert inhabitants(root) == []
    assert children() == known
    assert sorted(os.listdir(root)) == before
    assert sorted(os.listdir(root / "etc")) == ["group", "passwd"]


def test_an_output_that_fails_kills_the_tree(root: Path, rootfs: Rootfs) -> None:
    class Broken(Recorder):
        def write(self, stream: object, data: bytes) -> None:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run(rootfs, shell(f"({WRITER}) & echo ready; wait"), Broken())
    assert inhabitants(root) == []


def test_a_sandbox_that_is_dropped_is_killed_and_reaped(root: Path, rootfs: Rootfs) -> None:
    known = children()
    with started(rootfs, WRITER) as sandbox:
        await_file(root / "tmp/log")
        assert inhabitants(root)
        del sandbox
        gc.collect()
    assert inhabitants(root) == []
    assert children() == known
    assert not (root / "proc").exists()


def test_wait_tells_the_same_twice_and_kill_may_come_late(rootfs: Rootfs) -> None:
    with started(rootfs, "exit 7") as sandbox:
        assert (sandbox.wait(), sandbox.wait()) == (7, 7)
        sandbox.kill()


def test_a_killed_tree_is_137_and_its_pidfd_is_readable(root: Path, rootfs: Rootfs) -> None:
    with started(rootfs, WRITER) as sandbox:
        assert select.select([sandbox.pidfd], [], [], 0)[0] == []
        assert sandbox.pid in inhabitants(root)
        sandbox.kill()
        assert select.select([sandbox.pidfd], [], [], 20)[0] == [sandbox.pidfd]
        assert inhabitants(root) == []
        assert sandbox.wait() == 137


def test_waiting_leaves_other_threads_alone(root: Path, rootfs: Rootfs) -> None:
    with started(rootfs, "until test -e /tmp/go; do sleep 0.01; done") as sandbox:
        # Needs the interpreter while wait() blocks: it would deadlock if the lock were held.
        thread = threading.Thread(target=(root / "tmp/go").touch)
        thread.start()
        assert sandbox.wait() == 0
        thread.join()


def test_many_threads_start_sandboxes_at_once(tmp_path: Path) -> None:
    codes: list[int] = []

    def work(number: int) -> None:
        directory = tmp_path / str(number)
        busybox_rootfs(os.fsencode(directory))
        rootfs = Rootfs(os.fsencode(directory))
        # All of them allocate: the child must not need a lock that another thread holds.
        codes.extend(attempt(rootfs, "echo x | cat; exit 4")[0].exit_code for _ in range(5))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [4] * 20


def test_what_was_just_written_can_be_executed_while_another_run_is_started(
    root: Path, rootfs: Rootfs, tmp_path: Path
) -> None:
    """The other's child has a copy of the open file, until it executes something. It is stopped before that.

    Whoever executes the file has to wait for it; how long we wait here only decides whether a fault is seen.
    """
    place = tmp_path / "other"
    busybox_rootfs(os.fsencode(place))
    mounts = tuple(Mount.tmpfs(b"/m/%d" % number) for number in range(300))
    slow = threading.Thread(target=lambda: attempt(Rootfs(os.fsencode(place)), "true", mounts=mounts))
    ended: list[Outcome] = []
    tool = threading.Thread(target=lambda: ended.append(run(rootfs, Command(("/tmp/true",), (), "/"), Recorder())))
    known = children_of_all_threads()
    with open(root / "tmp/true", "wb") as file:
        file.write((root / "bin/busybox").read_bytes())
        os.fchmod(file.fileno(), 0o755)
        slow.start()
        while not (new := children_of_all_threads() - known):
            assert slow.is_alive()
        os.kill(min(new), signal.SIGSTOP)
    tool.start()
    tool.join(0.5)
    os.kill(min(new), signal.SIGCONT)
    for thread in (tool, slow):
        thread.join()
    assert [outcome.exit_code for outcome in ended] == [0]


def test_a_killed_builder_leaves_nothing_running(root: Path) -> None:
    program = """
import sys
from fswatch_builder._native import Rootfs
from tests.support.running import Recorder, shell
from fswatch_builder.runtime.run import run
run(Rootfs(sys.argv[1].encode()), shell(sys.argv[2]), Recorder())
"""
    builder = subprocess.Popen([sys.executable, "-c", program, root, WRITER], env={"PYTHONPATH": os.getcwd()})
    try:
        await_file(root / "tmp/log")
        pids = [os.pidfd_open(pid) for pid in inhabitants(root)]
        assert pids
    finally:
        builder.kill()
        builder.wait()
    for pidfd in pids:
        assert select.select([pidfd], [], [], 20)[0] == [pidfd]
        os.close(pidfd)
    assert inhabitants(root) == []


def test_a_run_that_is_killed_while_its_links_are_counted_dies_at_once(root: Path, rootfs: Rootfs) -> None:
    """Thirty processes wait for an answer, or are about to, when the kill comes; nobody waits for ever."""
    busy = "while :; do ln /etc/passwd /tmp/$$ 2>/dev/null; rm -f /tmp/$$; done"
    spec = RunSpec(
        [b"/bin/sh", b"-c", f"for i in $(seq 30); do sh -c '{busy}' & done; wait".encode()],
        [b"PATH=/bin"],
        b"/",
        witness=True,
    )
    descriptors = len(os.listdir("/proc/self/fd"))
    null = os.open("/dev/null", os.O_WRONLY)
    try:
        for delay in range(10):
            sandbox = spawn(rootfs, spec, null, null)
            select.select([], [], [], delay / 100)  # not to hide a race: to meet as many of them as there are
            sandbox.kill()
            assert sandbox.wait() == 137
            assert sandbox.links_made is not None
            del sandbox
    finally:
        os.close(null)
    assert inhabitants(root) == []
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert b"link-witness" not in names_of_threads()


def test_a_run_whose_links_are_counted_is_dropped_without_a_trace(root: Path, rootfs: Rootfs) -> None:
    null = os.open("/dev/null", os.O_WRONLY)
    try:
        spec = RunSpec(
            [b"/bin/sh", b"-c", b"while :; do ln -f /etc/passwd /tmp/x; done"], [b"PATH=/bin"], b"/", witness=True
        )
        sandbox = spawn(rootfs, spec, null, null)
        await_file(root / "tmp/x")
        del sandbox
        gc.collect()
    finally:
        os.close(null)
    assert inhabitants(root) == []
    assert b"link-witness" not in names_of_threads()


def names_of_threads() -> set[bytes]:
    return {path.read_bytes().strip() for path in Path("/proc/self/task").glob("*/comm")}
