"""What stat proves of a file that was not read: the premises of index/CLOCK.md."""

import errno
import fcntl
import mmap
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fswatch_builder._native import Baseline, ChangeSet, Rootfs, is_multigrain
from tests.support import subvolumes
from tests.support.system_calls import FS_NODUMP_FL, set_inode_flag
from tests.support.tracked import described, whole

ON = [
    "here",
    *(pytest.param(kind, marks=pytest.mark.root) for kind in ("tmpfs", "ext4", "xfs", "btrfs")),
]
#: Not converted to fine stamps in any kernel.
COARSE = [pytest.param(kind, marks=pytest.mark.root) for kind in ("ramfs", "ext2")]
EVERY = [*ON, *COARSE]

everywhere = pytest.mark.parametrize("place", EVERY, indirect=True)


def stamp(path: str) -> tuple[int, int]:
    status = os.lstat(path)
    return status.st_ctime_ns, status.st_mtime_ns


def write(path: str, data: bytes = b"x") -> None:
    fd = os.open(path, os.O_CREAT | os.O_WRONLY)
    os.write(fd, data)
    os.close(fd)


def wait_for_the_clock(path: str) -> None:
    """Until a change made now gets a later ctime than ``path`` has: at most a tick, where the clock is coarse."""
    last = os.lstat(path).st_ctime_ns
    write("scratch")
    while os.lstat("scratch").st_ctime_ns <= last:
        os.utime("scratch")


def multigrain(place: Path) -> bool:
    """By fact 6, in Python: a scratch file, 50 times stat, write, stat."""
    write("probe")
    for _ in range(50):
        before = stamp("probe")
        write("probe")
        if stamp("probe")[0] == before[0]:
            return False
    return True


def needs_multigrain(place: Path) -> None:
    if not multigrain(place):
        pytest.skip("the file system has a coarse clock here: the kernel is older than 6.13")


@everywhere
def test_the_probe_of_the_core_agrees_with_the_plain_one(place: Path) -> None:
    assert is_multigrain(os.fsencode(place)) == multigrain(place)


@pytest.mark.parametrize("place", COARSE, indirect=True)
def test_a_coarse_clock_shows_equal_stamps_for_different_contents(place: Path) -> None:
    """Why such a file system needs digests: fact 5."""
    write("f", b"one")
    for _ in range(100_000):
        before = stamp("f")
        write("f", b"two")
        if stamp("f") == before:
            return
    pytest.fail("no equal stamps in 100,000 writes: the clock is not coarse")


def chmod(number: int) -> None:
    os.chmod("d/f", 0o600 + number % 2)


def truncate(number: int) -> None:
    os.truncate("d/f", number % 2)


def create(number: int) -> None:
    write(f"d/{number}")


CHANGES: list[Callable[[int], None]] = [chmod, truncate, create, lambda _: write("d/f"), lambda _: os.utime("d/f")]


@pytest.mark.parametrize("place", ON, indirect=True)
@pytest.mark.parametrize("change", CHANGES, ids=["chmod", "truncate", "create", "write", "touch"])
def test_after_a_stat_every_change_has_a_new_ctime(place: Path, change: Callable[[int], None]) -> None:
    needs_multigrain(place)
    os.mkdir("d")
    write("d/f")
    looked_at = "d" if change is create else "d/f"
    seen = set()
    for number in range(500):
        seen.add(os.lstat(looked_at).st_ctime_ns)
        change(number)
    assert len(seen) == 500


@everywhere
def test_what_is_not_looked_at_shares_stamps(place: Path) -> None:
    """Fact 2: the order of ctimes of two files proves nothing."""
    for number in range(2000):
        write(str(number))
    assert len({os.lstat(str(number)).st_ctime_ns for number in range(2000)}) < 1000


def same_mode() -> None:
    os.chmod("f", os.stat("f").st_mode & 0o7777)


def same_times() -> None:
    times = os.stat("f")
    os.utime("f", ns=(times.st_atime_ns, times.st_mtime_ns))


def away_and_back() -> None:
    os.rename("f", "g")
    os.rename("g", "f")


def inode_flag() -> None:
    try:
        set_inode_flag("f", FS_NODUMP_FL)
    except OSError as error:
        if error.errno in {errno.ENOTTY, errno.EOPNOTSUPP}:
            pytest.skip("no inode flags here")
        raise


def store() -> None:
    with open("f", "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0] = 88


SILENT: dict[str, Callable[[], None]] = {
    "chmod to the same": same_mode,
    "times set to what they are": same_times,
    "link": lambda: os.link("f", "link"),
    "unlink of another name": lambda: os.unlink("other"),
    "rename and back": away_and_back,
    "chattr": inode_flag,
    "first store into a clean mapping": store,
}


@everywhere
@pytest.mark.parametrize("name", SILENT)
def test_a_change_that_leaves_mtime_or_all_else_moves_ctime(place: Path, name: str) -> None:
    write("f", b"content")
    os.link("f", "other")
    with open("f") as file:
        os.fsync(file.fileno())  # no page is dirty now
    wait_for_the_clock("f")
    before = os.stat("f").st_ctime_ns
    SILENT[name]()
    assert os.stat("f").st_ctime_ns > before


@everywhere
def test_a_truncation_to_the_same_size_moves_ctime_and_mtime_or_nothing(place: Path) -> None:
    """Nothing on xfs, btrfs, ramfs, where it raises an event all the same: a false hint."""
    write("f", b"content")
    wait_for_the_clock("f")
    before = stamp("f")
    os.truncate("f", 7)
    after = stamp("f")
    assert after == before or (after[0] > before[0] and after[1] > before[1])
    assert Path("f").read_bytes() == b"content"


@everywhere
def test_no_call_sets_ctime_back(place: Path) -> None:
    write("f", b"one")
    before = stamp("f")
    wait_for_the_clock("f")
    write("f", b"two")
    os.utime("f", ns=(before[1], before[1]))
    after = stamp("f")
    assert after[1] == before[1]
    assert after[0] > before[0]


def dirty_mapping(path: str) -> mmap.mmap:
    fd = os.open(path, os.O_RDWR)
    mapped = mmap.mmap(fd, 0)
    os.close(fd)
    mapped[0] = 65
    return mapped


@everywhere
def test_a_store_into_a_dirty_page_moves_no_stamp(place: Path) -> None:
    """Fact 7: so a baseline is taken only when nobody has the file mapped."""
    write("f", b"content")
    mapped = dirty_mapping("f")
    wait_for_the_clock("f")
    before = stamp("f")
    mapped[1] = 66
    assert stamp("f") == before
    assert Path("f").read_bytes()[1] == 66
    mapped.close()


@pytest.mark.root
@pytest.mark.parametrize("place", ["tmpfs", "ramfs"], indirect=True)
def test_in_memory_no_store_after_the_first_moves_a_stamp_synced_or_not(place: Path) -> None:
    write("f", b"content")
    mapped = dirty_mapping("f")
    mapped.flush()
    wait_for_the_clock("f")
    before = stamp("f")
    mapped[1] = 66
    mapped.flush()
    assert stamp("f") == before
    mapped.close()


def store_after_a_load(path: str) -> None:
    fd = os.open(path, os.O_RDWR)
    mapped = mmap.mmap(fd, 0)
    os.close(fd)
    mapped[0] = mapped[0] ^ 1
    mapped.close()


@pytest.mark.parametrize(
    ("place", "moves"),
    [
        *(pytest.param(kind, True, marks=pytest.mark.root) for kind in ("ext4", "xfs", "btrfs", "ext2", "ramfs")),
        pytest.param("tmpfs", False, marks=pytest.mark.root),
    ],
    indirect=["place"],
)
def test_a_store_into_a_page_that_was_read_moves_a_stamp_but_on_tmpfs(place: Path, moves: bool) -> None:
    """There the page was mapped for writing when it was read, so the store makes no fault."""
    write("f", b"content")
    wait_for_the_clock("f")
    before = stamp("f")
    store_after_a_load("f")
    assert (stamp("f") != before) == moves


@everywhere
def test_a_scan_finds_what_a_store_may_hide(place: Path) -> None:
    """By reading all files where it does, and none where it does not."""
    Path("tree").mkdir()
    write("tree/f", b"content")
    write("tree/other", b"content")
    wait_for_the_clock("tree/other")
    rootfs = Rootfs(os.fsencode(place / "tree"))
    baseline, _ = Baseline.record(rootfs)
    store_after_a_load("tree/f")
    found = baseline.reconcile(rootfs, whole())
    assert described(found) == [(b"f", "modified", frozenset({"content", *mtime(found)}))]
    in_memory = not mtime(found)
    assert found.hashed_files == (2 if in_memory else 1)


def mtime(found: ChangeSet) -> set[str]:
    return {"mtime"} & found.changes[0].why


@pytest.mark.parametrize(
    ("place", "reused"),
    [
        *(pytest.param(kind, True, marks=pytest.mark.root) for kind in ("ext4", "ext2")),
        *(pytest.param(kind, False, marks=pytest.mark.root) for kind in ("xfs", "btrfs", "tmpfs")),
    ],
    indirect=["place"],
)
def test_whether_an_inode_number_comes_back_at_once(place: Path, reused: bool) -> None:
    """Fact 8: so identity is number and ctime."""
    again = 0
    for _ in range(200):
        write("f")
        before = os.lstat("f").st_ino
        os.unlink("f")
        write("f")
        again += os.lstat("f").st_ino == before
        os.unlink("f")
    assert (again > 150) if reused else (again < 50)


@pytest.mark.parametrize("place", ON, indirect=True)
def test_a_number_that_comes_back_has_another_ctime(place: Path) -> None:
    needs_multigrain(place)
    for _ in range(500):
        write("f")
        before = os.lstat("f")
        os.unlink("f")
        write("f")
        after = os.lstat("f")
        assert (after.st_ino, after.st_ctime_ns) != (before.st_ino, before.st_ctime_ns)
        os.unlink("f")


@pytest.mark.parametrize("place", [*ON, *COARSE], indirect=True)
def test_a_stamp_taken_before_the_looking_bounds_every_later_change(place: Path) -> None:
    """Fact 5: k is the ctime of a scratch file touched first; no later change has a ctime before k."""
    for number in range(200):
        write("scratch")
        k = os.lstat("scratch").st_ctime_ns
        write("f", b"%d" % number)
        assert os.lstat("f").st_ctime_ns >= k


@pytest.mark.root
@pytest.mark.parametrize("place", ["btrfs"], indirect=True)
def test_what_stands_in_for_a_subvolume_has_the_time_of_the_look(place: Path) -> None:
    """In a snapshot of what it lay in. So it is taken to have no time: entry.rs."""
    subvolumes.create(place / "sub")
    subvolumes.create(place / "sub/inner")
    subvolumes.snapshot(place / "sub", place / "snap")
    before = os.lstat("snap/inner")
    wait_for_the_clock("snap/inner")
    after = os.lstat("snap/inner")
    assert after.st_mtime_ns > before.st_mtime_ns
    assert (after.st_ino, after.st_nlink, after.st_size, after.st_ctime_ns) == (2, 1, 0, after.st_mtime_ns)


FS_IOC_GETVERSION = 0x80087601


@pytest.mark.parametrize(
    ("place", "has"),
    [
        *(pytest.param(kind, True, marks=pytest.mark.root) for kind in ("ext4", "xfs", "btrfs")),
        pytest.param("tmpfs", False, marks=pytest.mark.root),
    ],
    indirect=["place"],
)
def test_who_tells_the_generation_of_an_inode(place: Path, has: bool) -> None:
    write("f")
    with open("f") as file:
        if has:
            assert fcntl.ioctl(file, FS_IOC_GETVERSION, bytes(8)) != bytes(8)
        else:
            with pytest.raises(OSError, match="Inappropriate ioctl"):
                fcntl.ioctl(file, FS_IOC_GETVERSION, bytes(8))
