"""What the kernel does, as far as the inotify tracker relies on it. A failure here means: a proof lost a premise."""

import array
import ctypes
import fcntl
import mmap
import os
import shutil
import signal
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
from inotify_simple import INotify, flags  # type: ignore[import-untyped]

MASK = (
    flags.CREATE
    | flags.DELETE
    | flags.MOVED_FROM
    | flags.MOVED_TO
    | flags.ATTRIB
    | flags.MODIFY
    | flags.CLOSE_WRITE
    | flags.ONLYDIR
    | flags.DONT_FOLLOW
    | flags.EXCL_UNLINK
)


@pytest.fixture
def inotify() -> Iterator[INotify]:
    with INotify(nonblocking=True) as inotify:
        yield inotify


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("d", "e"):
        (tmp_path / name).mkdir()
    (tmp_path / "d/f").write_text("x" * 5000)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def events(inotify: INotify) -> list[tuple[int, str, str]]:
    """(wd, names of the flags, name)."""
    return [
        (event.wd, "|".join(flag.name for flag in flags.from_mask(event.mask)), event.name)
        for event in inotify.read(timeout=0)
    ]


def names(inotify: INotify) -> list[tuple[str, str]]:
    return [(mask, name) for _, mask, name in events(inotify)]


def test_truncate_by_path_raises_modify_and_nothing_else(inotify: INotify, tree: Path) -> None:
    inotify.add_watch("d", MASK)
    os.truncate("d/f", 1)
    assert names(inotify) == [("MODIFY", "f")]


def test_a_store_into_a_mapping_shows_at_the_last_close_only(inotify: INotify, tree: Path) -> None:
    inotify.add_watch("d", MASK)
    fd = os.open("d/f", os.O_RDWR)
    mapped = mmap.mmap(fd, 0)
    os.close(fd)
    mapped[0] = 88
    mapped.flush()
    assert names(inotify) == []
    mapped.close()
    assert names(inotify) == [("CLOSE_WRITE", "f")]


def test_events_of_a_dying_process_precede_its_wait_status(inotify: INotify, tree: Path) -> None:
    inotify.add_watch("d", MASK)
    for _ in range(50):
        ready, tell = os.pipe()
        child = os.fork()
        if child == 0:
            fd = os.open("d/f", os.O_RDWR)
            mapped = mmap.mmap(fd, 0)
            os.close(fd)
            mapped[0] = 88
            os.write(tell, b"x")
            signal.pause()
        os.read(ready, 1)
        os.close(ready)
        os.close(tell)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert names(inotify) == [("CLOSE_WRITE", "f")]


def test_a_rename_keeps_the_watch_and_adding_it_again_finds_the_same_one(inotify: INotify, tree: Path) -> None:
    wd = inotify.add_watch("d", MASK)
    os.rename("d", "moved")
    Path("moved/f").write_text("y")
    assert {(event[0], event[2]) for event in events(inotify)} == {(wd, "f")}
    assert inotify.add_watch("moved", MASK) == wd


def test_the_end_of_a_watch_is_told_whatever_the_mask(inotify: INotify, tree: Path) -> None:
    wd = inotify.add_watch("d", MASK)
    shutil.rmtree("d")
    assert events(inotify)[-1] == (wd, "IGNORED", "")
    with pytest.raises(OSError, match="Invalid argument"):
        inotify.rm_watch(wd)


def test_the_end_of_a_watch_is_its_last_event_and_its_number_is_not_used_again(inotify: INotify, tree: Path) -> None:
    used = set()
    for _ in range(1000):
        wd = inotify.add_watch("d", MASK)
        Path("d/f").touch()
        inotify.rm_watch(wd)
        Path("d/f").touch()
        assert [mask for _, mask, _ in events(inotify)][-1] == "IGNORED"
        used.add(wd)
    assert len(used) == 1000


def test_a_directory_made_anew_is_not_watched(inotify: INotify, tree: Path) -> None:
    first = inotify.add_watch("d", MASK)
    shutil.rmtree("d")
    os.mkdir("d")
    events(inotify)
    Path("d/f").touch()
    assert events(inotify) == []
    assert inotify.add_watch("d", MASK) != first


def test_an_exchange_says_of_each_half_whether_it_is_a_directory(inotify: INotify, tree: Path) -> None:
    inotify.add_watch(".", MASK)
    inotify.add_watch("d", MASK)
    libc = ctypes.CDLL(None, use_errno=True)
    # renameat2(2): AT_FDCWD = -100, RENAME_EXCHANGE = 2.
    assert libc.renameat2(-100, b"d/f", -100, b"e", 2) == 0
    told = names(inotify)
    assert ("MOVED_TO", "e") in told  # the file
    assert ("MOVED_TO|ISDIR", "f") in told


def test_a_file_born_without_a_name_is_reported_under_the_name_it_gets(inotify: INotify, tree: Path) -> None:
    """IN_EXCL_UNLINK may silence the writes, but never the name."""
    inotify.add_watch("d", MASK)
    fd = os.open("d", os.O_TMPFILE | os.O_WRONLY)
    os.write(fd, b"before")
    # os.link follows the magic link only if it is given a directory (it calls link(2) otherwise).
    os.link(f"/proc/self/fd/{fd}", "d/named", src_dir_fd=fd, follow_symlinks=True)
    os.write(fd, b"after")
    os.close(fd)
    assert ("CREATE", "named") in names(inotify)


def test_a_full_queue_drops_the_newest_and_says_so_once(inotify: INotify, tree: Path) -> None:
    inotify.add_watch("e", MASK)
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for number in range(limit // 2 + 10):
        os.close(os.open(f"e/{number}", os.O_CREAT | os.O_WRONLY))  # CREATE, CLOSE_WRITE
    told = events(inotify)
    assert len(told) == limit + 1
    assert told[-1] == (-1, "Q_OVERFLOW", "")
    assert [mask for _, mask, _ in told].count("Q_OVERFLOW") == 1


def test_the_length_of_the_queue_is_told_exactly(inotify: INotify, tree: Path) -> None:
    inotify.add_watch("e", MASK)
    for number in range(100):
        Path(f"e/{'n' * number}x").touch()
    queued = array.array("i", [0])
    fcntl.ioctl(inotify.fileno(), termios.FIONREAD, queued)
    total = 0
    while total < queued[0]:
        total += len(os.read(inotify.fileno(), 4096))
    assert total == queued[0]
    with pytest.raises(BlockingIOError):
        os.read(inotify.fileno(), 4096)


def test_adding_a_watch_raises_no_event(inotify: INotify, tree: Path) -> None:
    inotify.add_watch(".", MASK)
    inotify.add_watch("d", MASK)
    inotify.add_watch("d", MASK)
    assert events(inotify) == []


def test_setting_the_same_times_raises_attrib(inotify: INotify, tree: Path) -> None:
    """What the probe asks of a file system."""
    inotify.add_watch("d", flags.ATTRIB)
    times = os.stat("d")
    os.utime("d", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert names(inotify) == [("ATTRIB|ISDIR", "")]


def test_a_write_through_a_link_in_an_unwatched_directory_is_silent(inotify: INotify, tree: Path) -> None:
    """The blind spot: not even the link count of the watched name is reported."""
    inotify.add_watch("d", MASK)
    os.link("d/f", "e/link")
    Path("e/link").write_text("changed")
    os.unlink("e/link")
    assert names(inotify) == []


@pytest.mark.root
def test_an_unmounted_watch_says_so_and_ends(inotify: INotify, tree: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    target = os.fsencode(tree / "e")
    assert libc.mount(b"none", target, b"tmpfs", 0, None) == 0
    try:
        wd = inotify.add_watch("e", MASK)
    finally:
        assert libc.umount2(target, 0) == 0
    assert events(inotify) == [(wd, "UNMOUNT|ISDIR", ""), (wd, "IGNORED", "")]


def test_modify_alone_misses_a_mapping_and_close_write_alone_misses_truncate(inotify: INotify, tree: Path) -> None:
    """Why the mask has both."""
    inotify.add_watch("d", flags.MODIFY)
    fd = os.open("d/f", os.O_RDWR)
    mapped = mmap.mmap(fd, 0)
    os.close(fd)
    mapped[0] = 88
    mapped.close()
    assert names(inotify) == []
    inotify.add_watch("d", flags.CLOSE_WRITE)
    os.truncate("d/f", 1)
    assert names(inotify) == []


def test_equal_events_in_a_row_are_one(inotify: INotify, tree: Path) -> None:
    """So events are no count of what happened."""
    inotify.add_watch("d", MASK)
    with open("d/f", "r+b", buffering=0) as file:
        file.writelines(b"x" for _ in range(5))
        assert names(inotify) == [("MODIFY", "f")]


def test_a_watch_added_again_under_another_path_is_the_same_with_the_new_mask(inotify: INotify, tree: Path) -> None:
    wd = inotify.add_watch("d", MASK)
    assert inotify.add_watch("e/../d", flags.CREATE) == wd
    Path("d/f").write_text("x")
    assert names(inotify) == []


def test_a_file_without_a_path_is_silent_with_excl_unlink(inotify: INotify, tree: Path) -> None:
    with open("d/f", "r+b", buffering=0) as file:
        inotify.add_watch("d", MASK)
        os.unlink("d/f")
        assert names(inotify) == [("DELETE", "f")]
        file.write(b"x")
        assert names(inotify) == []
        inotify.add_watch("d", MASK & ~flags.EXCL_UNLINK)
        file.write(b"x")
        assert names(inotify) == [("MODIFY", "f")]


def test_the_end_of_a_directory_waits_for_a_file_that_was_in_it(inotify: INotify, tree: Path) -> None:
    """Never to be waited for."""
    inotify.add_watch("d", MASK | flags.DELETE_SELF)
    with open("d/f"):
        shutil.rmtree("d")
        assert names(inotify) == [("DELETE", "f")]
    assert [mask for mask, _ in names(inotify)] == ["DELETE_SELF", "IGNORED"]
