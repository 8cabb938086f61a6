"""Who had a file open, mapped or in hand before anybody watched still cannot change it unseen."""

import mmap
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fswatch_builder import _native as native
from tests.support.tracked import armed, assert_nothing_missed

pytestmark = pytest.mark.root


@contextmanager
def waiting(root: bytes, prepare: Callable[[], object], act: Callable[..., None]) -> Iterator[Callable[[], None]]:
    """A process that has prepared, and acts and ends when it is told to."""
    told, tell = os.pipe()
    ready, is_ready = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(tell)
            os.chdir(root)
            prepared = prepare()
            os.write(is_ready, b"x")
            os.read(told, 1)
            act(prepared)
            status = 0
        finally:
            os._exit(status)
    os.close(told)
    os.close(is_ready)
    assert os.read(ready, 1) == b"x"

    def go() -> None:
        os.write(tell, b"x")
        assert os.waitpid(child, 0)[1] == 0

    try:
        yield go
    finally:
        os.close(tell)
        os.close(ready)


def opened() -> int:
    return os.open("usr/bin/tool", os.O_WRONLY | os.O_APPEND)


def write(fd: int) -> None:
    os.write(fd, b"more\n")


def mapped() -> mmap.mmap:
    fd = os.open("usr/bin/tool", os.O_RDWR)
    try:
        return mmap.mmap(fd, 0)
    finally:
        os.close(fd)


def store(view: mmap.mmap) -> None:
    view[0:4] = b"MMAP"


def directory() -> int:
    return os.open("data/a", os.O_RDONLY | os.O_DIRECTORY)


def work_in(fd: int) -> None:
    os.fchdir(fd)
    Path("new").write_text("x")
    Path("b/one").write_text("y")
    os.unlink("linked")


CASES: dict[str, tuple[Callable[[], object], Callable[..., None]]] = {
    "a descriptor": (opened, write),
    "a mapping": (mapped, store),
    "a directory": (directory, work_in),
}


@pytest.mark.parametrize("name", CASES)
def test_what_was_opened_before_arming(name: str, populated: native.Rootfs) -> None:
    prepare, act = CASES[name]
    with waiting(populated.path, prepare, act) as go, armed(populated) as together:
        go()
        assert assert_nothing_missed(together) != []


def test_a_file_that_moved_since_its_descriptor_was_opened(populated: native.Rootfs) -> None:
    with waiting(populated.path, opened, write) as go, armed(populated) as together:
        os.rename(os.path.join(populated.path, b"usr/bin/tool"), os.path.join(populated.path, b"data/c/tool"))
        go()
        found = {path for path, *_ in assert_nothing_missed(together)}
    assert found >= {b"usr/bin/tool", b"data/c/tool"}


def test_a_descriptor_that_came_from_outside_the_tree(populated: native.Rootfs) -> None:
    """SCM_RIGHTS: the writer never had a path."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)

    def receive_and_write(_: object) -> None:
        _, (fd,), _, _ = socket.recv_fds(theirs, 1, 1)
        os.write(fd, b"by somebody else\n")

    fd = os.open(os.path.join(populated.path, b"usr/bin/tool"), os.O_WRONLY | os.O_APPEND)
    with ours, theirs, waiting(b"/", lambda: None, receive_and_write) as go, armed(populated) as together:
        socket.send_fds(ours, [b"x"], [fd])
        os.close(fd)
        go()
        assert [path for path, *_ in assert_nothing_missed(together)] == [b"usr/bin/tool"]
