"""A full queue is provoked by not reading it, and more than is remembered by a limited queue or a flood of names."""

import os
from pathlib import Path
from time import monotonic

import pytest

from fswatch_builder._native import FilesystemMark, Rootfs
from fswatch_builder.changes.widen import widen
from fswatch_builder.tracking.strategies.fanotify import FanotifySession, FanotifyTracker
from tests.support.hints import baseline_of, covers
from tests.support.namespace import run_limited

pytestmark = pytest.mark.root


def queue_limit() -> int:
    return int(Path("/proc/sys/fs/fanotify/max_queued_events").read_text())


@pytest.fixture
def rootfs(tmp_path: Path) -> Rootfs:
    for name in ("root/quiet", "root/busy"):
        (tmp_path / name).mkdir(parents=True)
    return Rootfs(os.fsencode(tmp_path / "root"))


def assert_it_hears(session: FanotifySession, place: Path) -> None:
    (place / "root/quiet/later").touch()
    hints = session.settle()
    assert covers(hints, b"quiet/later")
    assert hints.losses == []


def test_a_full_queue_is_a_loss_of_the_root_and_then_watching_goes_on(tmp_path: Path, rootfs: Rootfs) -> None:
    baseline = baseline_of(rootfs)
    session = FanotifySession(rootfs, FilesystemMark(rootfs, baseline, unlimited=False), baseline)
    try:
        session.mark.pause()
        for number in range(queue_limit()):
            os.symlink("x", tmp_path / "root/busy" / str(number))
        (tmp_path / "root/quiet/late").touch()
        hints = session.settle()
        assert hints.losses == [("queue-overflow", b"")]
        assert hints.hints == [], "the loss covers everything"
        session.mark.resume()
        assert_it_hears(session, tmp_path)
    finally:
        session.close()


def test_a_storm_elsewhere_that_fills_the_queue_is_a_loss_too(tmp_path: Path, rootfs: Rootfs) -> None:
    """Whose events were dropped is not known."""
    baseline = baseline_of(rootfs)
    session = FanotifySession(rootfs, FilesystemMark(rootfs, baseline, unlimited=False), baseline)
    try:
        session.mark.pause()
        (tmp_path / "elsewhere").mkdir()
        for number in range(queue_limit() + 1):
            os.symlink("x", tmp_path / "elsewhere" / str(number))
        assert session.settle().losses == [("queue-overflow", b"")]
    finally:
        session.close()


def test_an_unlimited_queue_loses_nothing(tmp_path: Path, rootfs: Rootfs) -> None:
    session = FanotifyTracker().arm(rootfs, baseline_of(rootfs))
    try:
        assert session.mark.unlimited
        session.mark.pause()
        for number in range(queue_limit() + 10):
            os.symlink("x", tmp_path / "root/busy" / str(number))
        (tmp_path / "root/quiet/late").touch()
        hints = session.settle()
        assert hints.losses == []
        # More names in one directory than are kept one by one.
        assert hints.hints == [(b"busy", "children"), (b"quiet", "entry"), (b"quiet/late", "entry")]
    finally:
        session.close()


def test_a_queue_that_grows_faster_than_it_is_read_is_given_up_until_the_next_step(
    tmp_path: Path, rootfs: Rootfs
) -> None:
    """An unlimited queue takes the memory of the machine else, while hundreds of processes starve the reader."""
    baseline = baseline_of(rootfs)
    session = FanotifySession(rootfs, FilesystemMark(rootfs, baseline, backlog=1000), baseline)
    mark = session.mark
    try:
        mark.pause()
        for number in range(2000):
            os.symlink("x", tmp_path / "root/busy" / str(number))
        mark.resume()
        deadline = monotonic() + 20
        while mark.events < 2000:
            assert monotonic() < deadline
        told = mark.events
        (tmp_path / "root/quiet/untold").touch()
        for _ in range(2):
            assert session.settle().losses == [("flood", b"")]
        assert mark.events == told
        hints, _ = widen(session.settle())
        changes = baseline.reconcile(rootfs, hints)
        baseline.advance(changes)
        session.advance(baseline, changes)
        assert_it_hears(session, tmp_path)
    finally:
        session.close()


def test_in_a_user_namespace_the_queue_is_limited_and_its_overflow_a_loss(tmp_path: Path) -> None:
    script = """
import ctypes, subprocess
assert ctypes.CDLL(None).unshare(0x20000) == 0  # CLONE_NEWNS
subprocess.run(["mount", "-t", "tmpfs", "none", sys.argv[2]], check=True)
from fswatch_builder._native import Rootfs
from fswatch_builder.tracking.strategies.fanotify import FanotifyTracker
from tests.support.hints import baseline_of
os.chdir(sys.argv[2])
os.makedirs("root/busy")
rootfs = Rootfs(b"root")
capability = FanotifyTracker().probe(rootfs)
if not capability.usable:
    print(json.dumps(capability.reason))
    raise SystemExit
session = FanotifyTracker().arm(rootfs, baseline_of(rootfs))
os.chmod("root/busy", 0o700)
seen = [capability.reason, session.mark.unlimited, [path.decode() for path, _ in session.settle().hints]]
session.mark.pause()
for number in range(int(open("/proc/sys/fs/fanotify/max_queued_events").read()) + 1):
    os.symlink("x", f"root/busy/{number}")
print(json.dumps([*seen, session.settle().losses[0][0]]))
"""
    told = run_limited(script, str(tmp_path))
    if isinstance(told, str):
        pytest.skip(f"no user namespace can mark a file system here: {told}")
    reason, unlimited, hints, loss = told
    assert reason.endswith("a queue of limited length (fs.fanotify.max_queued_events)")
    assert not unlimited
    assert hints == ["busy"]
    assert loss == "queue-overflow"
