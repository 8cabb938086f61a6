"""Files that the kernel still holds open when their last process is gone: the events of stores into them come late."""

import hashlib
import os
import select
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fswatch_builder import _native as native
from fswatch_builder import stopping
from fswatch_builder.changes.widen import widen
from fswatch_builder.errors import SandboxError
from fswatch_builder.runtime.attached import Attachment, run_attached
from fswatch_builder.runtime.run import Command, run
from fswatch_builder.tracking.registry import trackers
from tests.support import system_calls
from tests.support.hints import baseline_of, covers
from tests.support.rootfs import busybox_rootfs
from tests.support.running import Recorder, inhabitants

pytestmark = pytest.mark.root

STORE = """
import mmap, os, socket, sys
sys.path.insert(0, "/calls")
import system_calls
{before}
fd = os.open("/f", os.O_RDWR)
view = mmap.mmap(fd, 4096)
{keep}
os.close(fd)
view[:7] = b"CHANGED"
os._exit(0)
"""

CYCLE = """
left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
for sender in (left, right):
    socket.send_fds(sender, [b"x"], [fd, left.fileno(), right.fileno()])
left.close()
right.close()
"""
"""Two sockets that hold each other, and the file: freed by the kernel's own thread, some milliseconds later."""

RING = """
try:
    ring = system_calls.Ring()
except OSError as error:
    sys.exit(f"no io_uring: {error.strerror}")
ring.register(fd)
"""
"""The ring is taken down by a thread of the kernel, and the files that are registered with it go then."""

SENT_OUTSIDE = """
with socket.socket(socket.AF_UNIX) as outside:
    outside.connect("/outside")
    socket.send_fds(outside, [b"x"], [fd])
"""


@pytest.fixture
def rootfs(tmp_path: Path) -> native.Rootfs:
    root = tmp_path / "root"
    busybox_rootfs(os.fsencode(root))
    for name in ("lib", "lib64"):
        if os.path.islink(f"/{name}"):
            (root / name).symlink_to(os.readlink(f"/{name}"))
    (root / "f").write_bytes(bytes(4096))
    return native.Rootfs(os.fsencode(root))


def python(program: str) -> Command:
    """In a RUN, with the Python that runs the test."""
    host = native.Rootfs(b"/")
    calls = os.path.dirname(os.path.abspath(system_calls.__file__))
    seen = {"/usr": "/usr", sys.base_prefix: sys.base_prefix, "/calls": calls}
    seen |= {path: path for path in ("/lib", "/lib64") if not os.path.islink(path)}
    mounts = [
        native.Mount.tree(os.fsencode(target), host, os.fsencode(source).lstrip(b"/"), writable=False)
        for target, source in sorted(seen.items())
        if target == "/usr" or not target.startswith("/usr/")
    ]
    return Command((os.path.realpath(sys.executable), "-IS", "-c", program), (), "/", mounts=tuple(mounts))


def is_missed(tracker: str, rootfs: native.Rootfs, program: str, rounds: int) -> bool:
    """Whether the store is ever missed: if the kernel's thread comes in time is a matter of luck."""
    for _ in range(rounds):
        session = trackers()[tracker].arm(rootfs, baseline_of(rootfs))
        try:
            outcome = run(rootfs, python(program), Recorder())
            if outcome.tail.startswith("no io_uring"):
                pytest.skip(outcome.tail)
            assert outcome.exit_code == 0, outcome.tail
            if not covers(session.settle(), b"f"):
                return True
        finally:
            session.close()
    return False


@pytest.mark.parametrize("tracker", ["fanotify", "inotify"])
@pytest.mark.parametrize("keep", [CYCLE, RING], ids=["a cycle of sockets", "an io_uring"])
def test_a_store_into_a_file_that_outlives_its_process_is_seen(keep: str, tracker: str, rootfs: native.Rootfs) -> None:
    assert not is_missed(tracker, rootfs, STORE.format(before="", keep=keep), 6)


@pytest.mark.parametrize("tracker", ["fanotify", "inotify"])
@pytest.mark.xfail(
    strict=True, reason="who wrote through a mount of a namespace of its own is not counted: tracking/README.md"
)
def test_a_store_into_a_file_that_lies_in_a_cycle_of_sockets_of_another_mount_namespace(
    tracker: str, rootfs: native.Rootfs
) -> None:
    assert not is_missed(tracker, rootfs, STORE.format(before="system_calls.own_mounts()", keep=CYCLE), 60)


class Outside:
    """A process' end of a socket in the tree: it is sent a file."""

    def __init__(self, rootfs: native.Rootfs) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(os.path.join(rootfs.path, b"outside"))
        self.socket.listen()

    def receive(self) -> int:
        with self.socket, self.socket.accept()[0] as sender:
            return socket.recv_fds(sender, 1, 1)[1][0]


@pytest.mark.parametrize("tracker", ["fanotify", "inotify", "scan"])
def test_what_a_process_outside_writes_to_a_file_it_was_sent_is_of_the_run(tracker: str, rootfs: native.Rootfs) -> None:
    outside = Outside(rootfs)
    baseline, _ = native.Baseline.record(rootfs)

    def write_when_the_run_is_dead() -> None:
        fd = outside.receive()
        while inhabitants(Path(os.fsdecode(rootfs.path))):
            select.select([], [], [], 0.01)
        os.pwrite(fd, b"OUTSIDE", 100)
        os.close(fd)

    session = trackers()[tracker].arm(rootfs, baseline)
    with ThreadPoolExecutor() as pool:
        try:
            writing = pool.submit(write_when_the_run_is_dead)
            outcome = run(rootfs, python(STORE.format(before="", keep=SENT_OUTSIDE)), Recorder())
            assert outcome.exit_code == 0, outcome.tail
            found = baseline.reconcile(rootfs, widen(session.settle())[0])
            writing.result()
        finally:
            session.close()
    content = Path(os.fsdecode(rootfs.path), "f").read_bytes()
    assert (content[:7], content[100:107]) == (b"CHANGED", b"OUTSIDE")
    after = next(change.after for change in found.changes if change.path == b"f")
    assert after is not None
    assert after.sha256 == hashlib.sha256(content).digest()


def test_a_process_outside_that_keeps_a_file_open_is_an_error(
    rootfs: native.Rootfs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fswatch_builder.runtime.run.PATIENCE_S", 0.1)
    outside = Outside(rootfs)
    with ThreadPoolExecutor() as pool:
        receiving = pool.submit(outside.receive)
        with pytest.raises(SandboxError, match="still open for writing, though every process of the command is dead"):
            run(rootfs, python(STORE.format(before="", keep=SENT_OUTSIDE)), Recorder())
        os.close(receiving.result())


def test_the_wait_for_it_ends_with_the_build(rootfs: native.Rootfs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fswatch_builder.runtime.run.PATIENCE_S", float("inf"))
    outside = Outside(rootfs)
    with ThreadPoolExecutor() as pool, stopping.Stop() as stop:

        def end_it() -> int:
            fd = outside.receive()
            while inhabitants(Path(os.fsdecode(rootfs.path))):
                select.select([], [], [], 0.01)
            stop.set()
            return fd

        ending = pool.submit(end_it)
        with stopping.under(stop), pytest.raises(stopping.Stopped):
            run(rootfs, python(STORE.format(before="", keep=SENT_OUTSIDE)), Recorder())
        os.close(ending.result())


def test_a_command_in_an_image_of_which_nothing_is_recorded_waits_for_nobody(rootfs: native.Rootfs) -> None:
    outside = Outside(rootfs)
    with ThreadPoolExecutor() as pool, open(os.devnull, "wb") as nowhere:
        receiving = pool.submit(outside.receive)
        command = python(STORE.format(before="", keep=SENT_OUTSIDE))
        assert run_attached(rootfs, command, Attachment(stdout=nowhere.fileno(), stderr=nowhere.fileno())) == 0
        os.close(receiving.result())
