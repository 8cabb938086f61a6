"""One at a time: a lock on a file that is there only as long as somebody has, or wants, the lock."""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from fswatch_builder import stopping
from fswatch_builder.oci.filesystem import ask

#: Seconds between two looks: who waits in the kernel for a lock of flock(2) hears of nothing else in a thread.
_AGAIN_S: Final = 0.1


@contextmanager
def turn(path: str, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Only one process, or thread, at a time is inside for one ``path``; another calls ``waiting`` once, and waits. The
    end of its thread (`stopping`) ends that.

    The kernel drops the lock with its holder, however that ends; the file that is left then does no harm.
    """
    descriptor = _locked(path, waiting)
    try:
        yield
    finally:
        with suppress(FileNotFoundError):
            os.unlink(path)
        os.close(descriptor)


def _locked(path: str, waiting: Callable[[], None]) -> int:
    told = False
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while not _lock(descriptor):
                if not told:
                    waiting()
                    told = True
                stopping.pause(_AGAIN_S)
            if _is_at(descriptor, path):  # else its holder has just removed it
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno != errno.ESTALE:  # it was removed on another machine: a lock on it is worth nothing, and is had
            raise
    return True


def _is_at(descriptor: int, path: str) -> bool:
    ask(os.path.dirname(path))
    try:
        ours, there = os.fstat(descriptor), os.lstat(path)
        # An NFS 3 server knows of no open files: the number of one that was removed may be another's by now.
        return os.path.samestat(ours, there) and ours.st_ctime_ns == there.st_ctime_ns
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ESTALE):
            return False
        raise


def is_turn(path: str) -> bool:
    """Whether somebody has, or may be about to have, a turn by this file; False for one that is left over."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except IsADirectoryError:
        return False
    except FileNotFoundError:
        return True
    try:
        return not _lock(descriptor)
    finally:
        os.close(descriptor)
