"""A session as a build uses it. What single events become is tested in the native half, beside the code."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fswatch_builder._native import Baseline, FilesystemMark, HintSet, Rootfs
from fswatch_builder.errors import TrackingError
from fswatch_builder.tracking.strategies import fanotify
from fswatch_builder.tracking.strategies.fanotify import FanotifySession, FanotifyTracker
from tests.support.filesystems import mounted
from tests.support.hints import baseline_of, covers
from tests.support.scripts import run

pytestmark = pytest.mark.root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").write_text("root\n" * 1000)
    (root / "usr/lib").mkdir(parents=True)
    return root


@pytest.fixture
def rootfs(root: Path) -> Rootfs:
    return Rootfs(os.fsencode(root))


@pytest.fixture
def session(rootfs: Rootfs, baseline: Baseline) -> Iterator[FanotifySession]:
    session = FanotifyTracker().arm(rootfs, baseline)
    yield session
    session.close()


def step(session: FanotifySession, rootfs: Rootfs, baseline: Baseline, hints: HintSet) -> None:
    changes = baseline.reconcile(rootfs, hints)
    baseline.advance(changes)
    session.advance(baseline, changes)


def test_a_run_that_only_reads_gives_no_hint(session: FanotifySession, rootfs: Rootfs) -> None:
    run(rootfs, "import os; open('etc/passwd').read(); os.listdir('usr'); os.stat('usr/lib')")
    hints = session.settle()
    assert (hints.hints, hints.losses) == ([], [])


def test_a_storm_elsewhere_on_the_file_system_gives_no_hint(session: FanotifySession, tmp_path: Path) -> None:
    for number in range(5000):
        (tmp_path / f"{number}").touch()
        (tmp_path / f"{number}").rename(tmp_path / f"again-{number}")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").touch()
    hints = session.settle()
    assert (hints.hints, hints.losses) == ([], [])
    assert session.mark.events >= 10_000


def test_a_store_into_a_mapping_by_a_process_killed_later_is_seen(session: FanotifySession, rootfs: Rootfs) -> None:
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


def test_a_settle_covers_what_ended_right_before_it(session: FanotifySession, root: Path) -> None:
    for number in range(50):
        (root / f"usr/lib/{number}").touch()
        assert covers(session.settle(), b"usr/lib/%d" % number)


def test_what_is_new_is_known_in_the_next_step(
    session: FanotifySession, rootfs: Rootfs, root: Path, baseline: Baseline
) -> None:
    run(rootfs, "import os; os.makedirs('opt/new/tree'); open('opt/new/tree/f', 'w').close()")
    hints = session.settle()
    assert hints.hints == [(b"", "entry"), (b"opt", "subtree")]
    step(session, rootfs, baseline, hints)
    (root / "opt/new/tree/f").write_text("changed")
    assert session.settle().hints == [(b"opt/new/tree/f", "entry")]
    (root / "opt/new/tree/g").touch()
    assert session.settle().hints == [(b"opt/new/tree", "entry"), (b"opt/new/tree/g", "entry")]


def test_a_moved_directory_is_known_under_its_new_path(
    session: FanotifySession, rootfs: Rootfs, root: Path, baseline: Baseline
) -> None:
    os.rename(root / "usr", root / "etc/usr")
    hints = session.settle()
    assert covers(hints, b"usr")
    assert covers(hints, b"etc/usr/lib")
    step(session, rootfs, baseline, hints)
    (root / "etc/usr/lib/f").touch()
    assert session.settle().hints == [(b"etc/usr/lib", "entry"), (b"etc/usr/lib/f", "entry")]


def test_directories_made_anew_with_the_numbers_of_old_ones(
    session: FanotifySession, rootfs: Rootfs, root: Path, baseline: Baseline
) -> None:
    """ext4 gives a number out again at once; other file systems do not, and the rest must hold all the same."""
    for _ in range(3):
        os.rmdir(root / "usr/lib")
        os.mkdir(root / "etc/lib")
        (root / "etc/lib/f").touch()
        hints = session.settle()
        assert covers(hints, b"usr/lib")
        assert covers(hints, b"etc/lib/f")
        step(session, rootfs, baseline, hints)
        (root / "etc/lib/f").write_text("x")
        hints = session.settle()
        assert hints.hints == [(b"etc/lib/f", "entry")]
        step(session, rootfs, baseline, hints)
        os.unlink(root / "etc/lib/f")
        os.rmdir(root / "etc/lib")
        os.mkdir(root / "usr/lib")
        step(session, rootfs, baseline, session.settle())
    assert baseline.entry(b"usr/lib") is not None


def test_what_the_builder_wrote_is_no_hint_of_the_next_run(
    session: FanotifySession, rootfs: Rootfs, baseline: Baseline
) -> None:
    run(rootfs, "open('etc/hosts', 'w').write('copied')")
    copied = baseline.reconcile(rootfs, HintSet(), [b"etc/hosts"])
    baseline.advance(copied)
    session.advance(baseline, copied)
    assert session.settle().hints == []


def descriptors_come_down_to(number: int) -> bool:
    """The kernel takes its time to close a mark, so a thread waits for it and not the caller."""
    end = time.monotonic() + 20
    while len(os.listdir("/proc/self/fd")) > number and time.monotonic() < end:
        time.sleep(0.005)
    return len(os.listdir("/proc/self/fd")) <= number  # an earlier test's may go too


def test_closing_leaves_no_descriptor_and_a_second_close_does_nothing(rootfs: Rootfs, baseline: Baseline) -> None:
    before = len(os.listdir("/proc/self/fd"))
    session = FanotifyTracker().arm(rootfs, baseline)
    session.close()
    session.close()
    assert descriptors_come_down_to(before)
    with pytest.raises(ValueError, match="closed"):
        session.settle()


def test_nothing_of_ours_is_inherited_by_a_run(session: FanotifySession) -> None:
    listing = ["find", "/proc/self/fd", "-lname", "anon_inode:*fanotify*"]
    done = subprocess.run(listing, capture_output=True, check=True, close_fds=False)
    assert done.stdout == b""


def test_a_probe_leaves_times_names_and_descriptors_alone(rootfs: Rootfs, root: Path) -> None:
    names = os.listdir(root)
    descriptors = len(os.listdir("/proc/self/fd"))
    before = root.stat()
    assert FanotifyTracker().probe(rootfs).usable
    after = root.stat()
    assert (after.st_mtime_ns, after.st_atime_ns) == (before.st_mtime_ns, before.st_atime_ns)
    assert os.listdir(root) == names
    assert descriptors_come_down_to(descriptors)


def test_a_mark_that_is_refused_on_arming_is_a_tracking_error(
    rootfs: Rootfs, baseline: Baseline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> FilesystemMark:
        error = OSError(28, "No space left on device")
        error.operation = "fanotify_mark"  # type: ignore[attr-defined]
        raise error

    monkeypatch.setattr(fanotify, "FilesystemMark", refuse)
    with pytest.raises(TrackingError, match=r"max_user_marks.*ENOSPC"):
        FanotifyTracker().arm(rootfs, baseline)


@contextmanager
def armed(root: Path) -> Iterator[tuple[FanotifySession, Rootfs, Baseline]]:
    rootfs = Rootfs(os.fsencode(root))
    baseline = baseline_of(rootfs)
    session = FanotifyTracker().arm(rootfs, baseline)
    try:
        yield session, rootfs, baseline
    finally:
        session.close()


def see_a_file_system_below(root: Path, below: Path) -> None:
    with armed(root) as (session, rootfs, baseline):
        assert session.settle().losses == [("other-device", b"data/tmpfs")]
        (below / "f").write_text("after")
        hints = session.settle()
        assert covers(hints, b"data/tmpfs/f")
        assert not covers(hints, b"data")
        step(session, rootfs, baseline, HintSet())
        assert session.settle().losses == [("other-device", b"data/tmpfs")]


def test_another_file_system_below_is_a_loss_at_every_settle(root: Path) -> None:
    (root / "data").mkdir()
    with mounted("tmpfs", root / "data") as below:
        (below / "f").write_text("before")
        see_a_file_system_below(root, below)


def see_both_paths(root: Path) -> None:
    with armed(root) as (session, _, _):
        (root / "usr/lib/f").touch()
        hints = session.settle()
        assert covers(hints, b"usr/lib/f")
        assert covers(hints, b"again/lib/f")


def test_a_directory_with_two_paths_is_hinted_under_both(root: Path) -> None:
    (root / "again").mkdir()
    subprocess.run(["mount", "--bind", root / "usr", root / "again"], check=True)
    try:
        see_both_paths(root)
    finally:
        subprocess.run(["umount", root / "again"], check=True)


def see_a_subvolume_come_and_go(root: Path) -> None:
    with armed(root) as (session, rootfs, baseline):
        (root / "d/f").touch()
        subprocess.run(["btrfs", "subvolume", "create", root / "d/sub"], check=True, capture_output=True)
        (root / "d/sub/f").touch()
        hints = session.settle()
        assert covers(hints, b"d/sub/f")
        assert hints.losses == []
        step(session, rootfs, baseline, hints)
        # Its inodes are numbered like those of the top: 256, 257.
        (root / "d/sub/f").write_text("changed")
        hints = session.settle()
        assert (hints.hints, hints.losses) == ([], [("other-device", b"d/sub")])
        subprocess.run(["btrfs", "subvolume", "delete", root / "d/sub"], check=True, capture_output=True)
        hints = session.settle()
        assert (b"d/sub", "entry") in hints.hints
        step(session, rootfs, baseline, hints)
        assert session.settle().losses == []


def test_a_subvolume_made_in_a_run_is_looked_at_and_then_a_loss(tmp_path: Path) -> None:
    with mounted("btrfs", tmp_path) as root:
        (root / "d").mkdir()
        see_a_subvolume_come_and_go(root)


def see_changes(root: Path, outside: Path) -> None:
    assert FanotifyTracker().probe(Rootfs(os.fsencode(root))).usable
    with armed(root) as (session, _, _):
        os.link(root / "d/f", outside)
        outside.write_text("after")
        os.unlink(outside)
        (root / "d/e/new").touch()
        hints = session.settle()
        assert hints.hints == [(b"d/e", "entry"), (b"d/e/new", "entry"), (b"d/f", "entry")]
        assert hints.losses == []


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs"])
def test_the_file_systems_it_works_on(kind: str, tmp_path: Path) -> None:
    with mounted(kind, tmp_path) as point:
        (point / "root/d/e").mkdir(parents=True)
        (point / "root/d/f").write_text("before")
        see_changes(point / "root", point / "outside")
