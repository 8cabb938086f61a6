"""Files of a build context that were read before are not read again, unless something may have been written to them."""

import ctypes
import errno
import fcntl
import mmap
import os
import signal
import subprocess
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
from inotify_simple import INotify, flags  # type: ignore[import-untyped]

from fswatch_builder._native import KnownContents, RefusedError, content
from tests.support.filesystems import mounted
from tests.support.rare_calls import exchange_contents
from tests.support.system_calls import libc
from tests.unit.native.trees import Tree

pytestmark = pytest.mark.root

SIZE = 4096
LEARNING = ["ext4", "xfs", "btrfs"]


@contextmanager
def on(kind: str, directory: Path, *, mkfs: tuple[str, ...] = ()) -> Iterator[Tree]:
    """A context on a file system of its own."""
    with mounted(kind, directory, mkfs=mkfs) as point:
        tree = Tree(point / "context")
        yield tree
        del tree.root


@pytest.fixture(params=LEARNING)
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tree]:
    with on(request.param, tmp_path) as tree:
        yield tree


@pytest.fixture
def xfs(tmp_path: Path) -> Iterator[Tree]:
    with on("xfs", tmp_path) as tree:
        yield tree


def digest(tree: Tree, known: KnownContents | None = None) -> bytes:
    return content(tree.root, [b""], owners=False, known=known).digest


def learn(tree: Tree) -> KnownContents:
    known = KnownContents(tree.root)
    digest(tree, known)
    return known


def again(tree: Tree, known: KnownContents) -> KnownContents:
    """As the next build has it."""
    path = tree.path.parent / "saved"
    path.unlink(missing_ok=True)
    known.save(os.fsencode(path))
    return KnownContents(tree.root, os.fsencode(path))


def test_what_is_known_is_not_read(xfs: Tree) -> None:
    """Two files change places by a call that leaves no stamp: only who reads them sees it (index/CLOCK.md)."""
    for name in ("a", "b"):
        xfs.file(name, name * SIZE)
    before = digest(xfs)
    known = again(xfs, learn(xfs))
    exchange_contents(xfs.path / "a", xfs.path / "b")
    assert digest(xfs) != before
    assert digest(xfs, known) == before
    assert known.learned == 0


def test_many_files_some_of_them_known_come_in_their_order(tree: Tree) -> None:
    for number in range(1_000):
        tree.file(f"{number % 7}/{number}", "x" * number)
    os.link(tree.path / "1/1", tree.path / "other")
    known = again(tree, learn(tree))
    for number in range(0, 1_000, 90):
        tree.file(f"{number % 7}/{number}", "y" * number)
    assert digest(tree, known) == digest(tree)
    assert known.learned == 12
    assert again(tree, known).learned == 0


def test_a_file_that_is_read_twice_in_one_build_is_opened_once(xfs: Tree) -> None:
    xfs.file("a", "a" * SIZE)
    xfs.file("b", "b" * SIZE)
    known = learn(xfs)
    before = digest(xfs)
    exchange_contents(xfs.path / "a", xfs.path / "b")
    assert digest(xfs, known) == before


@pytest.mark.parametrize("closed", [False, True], ids=["open", "closed"])
def test_a_store_into_a_page_that_is_dirty_already_is_seen(tree: Tree, closed: bool) -> None:
    """It makes no fault, and moves no time. The mapping alone tells, and is no descriptor."""
    path = tree.file("f", "0" * SIZE)
    fd = os.open(path, os.O_RDWR)
    libc.mmap.restype = ctypes.c_void_p
    address = libc.mmap(None, SIZE, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, fd, 0)
    if closed:
        os.close(fd)
    try:
        # Should the page be written back just then, for somebody else syncs, the store would be seen by its time.
        for number in range(1, 9, 2):
            ctypes.memset(address, ord(str(number)), SIZE)
            known = again(tree, learn(tree))
            before, stat = digest(tree), path.stat()
            ctypes.memset(address, ord(str(number + 1)), SIZE)
            unseen = path.stat().st_ctime_ns == stat.st_ctime_ns
            assert digest(tree, known) == digest(tree) != before
            assert known.learned == 0
            if unseen:
                break
        assert unseen
    finally:
        libc.munmap(ctypes.c_void_p(address), SIZE)
        if not closed:
            os.close(fd)
    assert learn(tree).learned == 1


def test_what_somebody_has_open_for_writing_is_read_each_time(tree: Tree) -> None:
    """A write may be under way, whose stamp was set when it began."""
    path = tree.file("f", "content")
    tree.file("other", "content")
    with open(path, "ab"):
        assert learn(tree).learned == 1
    with open(path, "rb"):
        assert learn(tree).learned == 2


def assert_that_writes_are_seen(tree: Tree, count: int) -> None:
    path = tree.file("f", "0")
    for number in range(count):
        known = learn(tree)
        with open(path, "r+") as file:
            file.write(str(number % 10))
        os.utime(path, ns=(1, 1))
        assert digest(tree, known) == digest(tree), number


@pytest.mark.parametrize("kind", [*LEARNING, "ext2", "tmpfs", "ramfs"])
def test_whatever_is_written_between_two_looks_is_seen(kind: str, tmp_path: Path) -> None:
    """On a coarse clock too, where two writes in one tick have one stamp."""
    with on(kind, tmp_path) as tree:
        assert_that_writes_are_seen(tree, 200)


def test_whatever_is_written_is_seen_where_times_are_in_whole_seconds(tmp_path: Path) -> None:
    """As on ext3, and ext4 that was made small: all that is written in one second has one stamp."""
    with on("ext4", tmp_path, mkfs=("-I", "128")) as tree:
        assert_that_writes_are_seen(tree, 50)


def test_a_file_that_takes_the_place_of_another_is_read(tree: Tree) -> None:
    tree.file("f", "one", mtime_ns=1)
    tree.file("g", "two", mtime_ns=1)
    known = again(tree, learn(tree))
    os.rename(tree.path / "g", tree.path / "f")
    assert digest(tree, known) == digest(tree)


def test_what_is_opened_under_the_name_of_another_is_not_learned_as_that(tree: Tree) -> None:
    """It was mounted over the one that was stat'ed, and is gone again: no time has moved."""
    first, path, other = (tree.file(name, name * SIZE) for name in ("a", "b", "c"))
    known = KnownContents(tree.root)
    with open(first) as held:
        fcntl.fcntl(held, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        build = Thread(target=digest, args=(tree, known))
        build.start()
        while fcntl.fcntl(held, fcntl.F_GETLEASE) == fcntl.F_WRLCK:
            os.sched_yield()
        # All were stat'ed, and the first one is being opened.
        subprocess.run(["mount", "--bind", other, path], check=True)
        fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        build.join()
    subprocess.run(["umount", path], check=True)
    assert known.learned == 2
    assert digest(tree, known) == digest(tree)


def test_an_attribute_that_a_known_file_gets_is_seen(tree: Tree) -> None:
    path = tree.file("f", "content")
    known = again(tree, learn(tree))
    before = digest(tree, known)
    os.setxattr(path, "user.x", b"v")
    assert before != digest(tree, known) == digest(tree)
    known = again(tree, learn(tree))
    assert digest(tree, known) == digest(tree)  # what is known has no attributes, so this one is not
    os.setxattr(path, "user.x", b"w")
    assert digest(tree, known) == digest(tree)


@pytest.mark.parametrize("kind", ["tmpfs", "ramfs"])
def test_where_a_store_may_leave_no_stamp_nothing_is_learned(kind: str, tmp_path: Path) -> None:
    with on(kind, tmp_path) as tree:
        tree.file("f", "content")
        assert learn(tree).learned == 0


def test_on_an_overlay_nothing_is_learned(tmp_path: Path) -> None:
    """A mapping of a file of it is of the file below, whose writers the overlay's inode does not count."""
    for name in ("lower", "upper", "work", "merged"):
        (tmp_path / name).mkdir()
    (tmp_path / "lower/context").mkdir()
    (tmp_path / "lower/context/f").write_text("content")
    options = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work".encode()
    merged = os.fsencode(tmp_path / "merged")
    if libc.mount(b"overlay", merged, b"overlay", 0, options) < 0:
        pytest.skip(f"no overlay can be mounted here: {os.strerror(ctypes.get_errno())}")
    try:
        tree = Tree(tmp_path / "merged/context")
        assert learn(tree).learned == 0
        del tree.root
    finally:
        assert libc.umount2(merged, 0) == 0


def test_of_another_file_system_in_the_context_nothing_is_known(xfs: Tree) -> None:
    xfs.file("f", "content")
    (xfs.path / "there").mkdir()
    with mounted("tmpfs", xfs.path / "there") as other:
        (other / "f").write_text("content")
        assert learn(xfs).learned == 1


SPOILT: list[Callable[[bytes], bytes]] = [
    lambda _: b"",
    lambda data: data[:-1],
    lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    lambda data: with_checksum(b"?" + data[1:-4]),
    lambda data: with_checksum(data[:-5]),
]


def with_checksum(data: bytes) -> bytes:
    return data + zlib.crc32(data).to_bytes(4)


@pytest.mark.parametrize("spoil", SPOILT, ids=["empty", "cut off", "other digest", "other form", "half a record"])
def test_what_is_damaged_is_refused(xfs: Tree, tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    xfs.file("f", "content")
    saved = tmp_path / "saved"
    learn(xfs).save(os.fsencode(saved))
    saved.write_bytes(spoil(saved.read_bytes()))
    with pytest.raises(RefusedError, match="does not hold what was read of a build context"):
        KnownContents(xfs.root, os.fsencode(saved))


def test_what_another_build_takes_stays_known_until_it_is_the_most(xfs: Tree) -> None:
    def learned(names: range, known: KnownContents) -> int:
        before = known.learned
        content(xfs.root, [os.fsencode(f"f{number}") for number in names], owners=False, known=known)
        return known.learned - before

    for number in range(10):
        xfs.file(f"f{number}", str(number))
    first, second = range(4), range(4, 10)
    known = KnownContents(xfs.root)
    assert learned(first, known) == 4
    known = again(xfs, known)
    assert learned(second, known) == 6
    known = again(xfs, known)
    assert learned(first, known) == learned(second, known) == 0
    known = again(xfs, known)
    xfs.file("f0", "0")
    assert learned(range(1), known) == 1
    known = again(xfs, known)
    assert learned(range(1), known) == 0
    assert learned(range(1, 10), known) == 9


def test_who_watches_a_context_that_is_known_hears_nothing(xfs: Tree) -> None:
    """Else a build that is started by every change there would start the next one."""
    xfs.file("f", "content")
    known = again(xfs, learn(xfs))
    heard = flags.MODIFY | flags.ATTRIB | flags.CREATE | flags.CLOSE_WRITE | flags.DELETE
    with INotify() as watch:
        for place in (xfs.path, xfs.path.parent):
            watch.add_watch(place, heard)
        digest(xfs, KnownContents(xfs.root))
        assert watch.read(timeout=0)  # it can be heard
        digest(xfs, known)
        assert watch.read(timeout=0) == []


def fill(path: Path) -> None:
    """Takes all the space there is."""
    size = 1 << 20
    with open(path, "wb", buffering=0) as file:
        while size:
            try:
                file.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                size //= 2


def test_on_a_full_disk_nothing_is_learned(xfs: Tree) -> None:
    xfs.file("f", "content")
    before = digest(xfs)
    fill(xfs.path.parent / "rest")
    known = KnownContents(xfs.root)
    assert digest(xfs, known) == before
    assert known.learned == 0
