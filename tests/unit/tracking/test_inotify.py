"""A session as a build uses it. What single events become is tested in the native half, beside the code."""

import mmap
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import inotify_simple  # type: ignore[import-untyped]
import pytest

from fswatch_builder._native import Baseline, HintSet, Rootfs, Watches
from fswatch_builder.errors import TrackingError
from fswatch_builder.tracking.strategies import inotify
from fswatch_builder.tracking.strategies.inotify import InotifySession, InotifyTracker
from tests.support.hints import covers
from tests.support.scripts import run


@pytest.fixture
def rootfs(tmp_path: Path) -> Rootfs:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root\n" * 1000)
    (tmp_path / "usr/lib").mkdir(parents=True)
    return Rootfs(os.fsencode(tmp_path))


@pytest.fixture
def session(rootfs: Rootfs, baseline: Baseline) -> Iterator[InotifySession]:
    session = InotifyTracker().arm(rootfs, baseline)
    yield session
    session.close()


def test_every_directory_is_watched(session: InotifySession, baseline: Baseline) -> None:
    assert session.watches.count == baseline.directories == 4


def test_a_run_that_only_reads_gives_no_hint(session: InotifySession, rootfs: Rootfs) -> None:
    run(rootfs, "import os; open('etc/passwd').read(); os.listdir('usr'); os.stat('usr/lib')")
    hints = session.settle()
    assert (hints.hints, hints.losses) == ([], [])


def test_a_store_into_a_mapping_by_a_process_killed_later_is_seen(session: InotifySession, rootfs: Rootfs) -> None:
    run(
        rootfs,
        "import mmap, os, signal\n"
        "fd = os.open('etc/passwd', os.O_RDWR)\n"
        "mapped = mmap.mmap(fd, 0)\n"
        "os.close(fd)\n"
        "mapped[0] = 88\n"
        "os.kill(os.getpid(), signal.SIGKILL)",
        killed=True,
    )
    assert covers(session.settle(), b"etc/passwd")


def test_a_settle_covers_what_ended_right_before_it(session: InotifySession, rootfs: Rootfs) -> None:
    for number in range(50):
        Path(os.fsdecode(rootfs.path), f"usr/lib/{number}").touch()
        assert covers(session.settle(), b"usr/lib/%d" % number)


def test_a_new_directory_is_watched_in_the_next_step(
    session: InotifySession, rootfs: Rootfs, baseline: Baseline
) -> None:
    run(rootfs, "import os; os.makedirs('opt/new/tree'); open('opt/new/tree/f', 'w').close()")
    hints = session.settle()
    assert covers(hints, b"opt/new/tree/f")
    changes = baseline.reconcile(rootfs, hints)
    baseline.advance(changes)
    session.advance(baseline, changes)
    assert session.watches.count == baseline.directories == 7
    run(rootfs, "open('opt/new/tree/f', 'w').close()")
    assert session.settle().hints == [(b"opt/new/tree/f", "entry")]


def test_what_the_builder_wrote_is_no_hint_of_the_next_run(
    session: InotifySession, rootfs: Rootfs, baseline: Baseline
) -> None:
    run(rootfs, "open('etc/hosts', 'w').write('copied')")
    copied = baseline.reconcile(rootfs, HintSet(), [b"etc/hosts"])
    baseline.advance(copied)
    session.advance(baseline, copied)
    assert session.settle().hints == []


def test_closing_frees_the_watches_and_a_second_close_does_nothing(rootfs: Rootfs, baseline: Baseline) -> None:
    before = len(os.listdir("/proc/self/fd"))
    session = InotifyTracker().arm(rootfs, baseline)
    session.close()
    session.close()
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(ValueError, match="closed"):
        session.settle()


def test_nothing_of_ours_is_inherited_by_a_run(session: InotifySession) -> None:
    listing = ["find", "/proc/self/fd", "-lname", "anon_inode:*inotify*"]
    done = subprocess.run(listing, capture_output=True, check=True, close_fds=False)
    assert done.stdout == b""


def test_a_probe_leaves_times_and_names_alone(rootfs: Rootfs) -> None:
    names = os.listdir(rootfs.path)
    before = os.stat(rootfs.path)
    capability = InotifyTracker().probe(rootfs)
    after = os.stat(rootfs.path)
    assert capability.usable
    assert not capability.blind_spots
    assert (after.st_mtime_ns, after.st_atime_ns) == (before.st_mtime_ns, before.st_atime_ns)
    assert os.listdir(rootfs.path) == names


def test_a_file_system_without_events_is_not_usable(rootfs: Rootfs, monkeypatch: pytest.MonkeyPatch) -> None:
    class Deaf(inotify_simple.INotify):  # type: ignore[misc]
        def read(self, timeout: int | None = None, read_delay: int | None = None) -> list[object]:
            return []

    monkeypatch.setattr(inotify, "INotify", Deaf)
    capability = InotifyTracker().probe(rootfs)
    assert not capability.usable
    assert capability.reason == "the file system reports no events"


def test_a_closed_descriptor_is_an_error_with_its_operation() -> None:
    unused = os.dup(0)
    os.close(unused)
    with pytest.raises(OSError, match="fcntl") as caught:
        Watches(unused)
    assert caught.value.operation == "fcntl"  # type: ignore[attr-defined]


def test_no_instance_left_is_a_tracking_error_and_leaves_no_descriptor(
    rootfs: Rootfs, baseline: Baseline, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(os.listdir("/proc/self/fd"))

    def refuse(*_: object, **__: object) -> InotifySession:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(inotify, "INotify", refuse)
    with pytest.raises(TrackingError, match="max_user_instances"):
        InotifyTracker().arm(rootfs, baseline)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_mapping_still_open_has_no_event_yet(session: InotifySession, rootfs: Rootfs) -> None:
    """Why a session is settled only when the process tree is dead."""
    with open(os.path.join(rootfs.path, b"etc/passwd"), "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0] = 88
        assert not covers(session.settle(), b"etc/passwd")
    assert covers(session.settle(), b"etc/passwd")
