"""Directories that live as long as one process uses them, and are swept when it is gone.

Beside the directory ``work/NAME`` lies ``work/NAME.lock``, held with flock(2) by its owner. A workspace comes into
being, and stale ones are looked for, under ``work/.lock`` only, so that no sweeper sees one that is not locked yet:

    builder A                          builder B, without work/.lock
    creates NAME.lock
                                       finds NAME.lock, locks it, takes it for stale, removes it
    locks NAME.lock (of no use now)

The kernel drops the lock with its holder, however that ends; a name without a lock file is not ours and is left alone.
Where machines share the file system, a lock may be lost on the way while its holder lives: a workspace that was begun
under another kernel there is taken for stale only after a day. And a file that somebody has open is there until it is
closed, under another name: what cannot be removed for that is left to the next ``sweep``.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from fswatch_builder import _native
from fswatch_builder.oci.boot import boot_id
from fswatch_builder.oci.filesystem import clock, is_local, is_removed, unmount_below

_LOCK_SUFFIX = ".lock"
_STALE_S: Final = 24 * 3600


@contextmanager
def workspace(work: str) -> Iterator[str]:
    """A fresh directory below ``work``, removed at the end; after a crash the next ``sweep`` removes it."""
    directory, lock = _create(work)
    try:
        yield directory
    finally:
        _remove(directory, lock)


def _create(work: str) -> tuple[str, int]:
    directory = os.path.join(work, os.urandom(8).hex())
    with _exclusive(work):
        lock = os.open(directory + _LOCK_SUFFIX, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.write(lock, boot_id().encode())
            if not is_local(work):
                os.fsync(lock)  # else another machine may see an empty file, as of one who died just before
            os.mkdir(directory, 0o700)
            _disinherit(directory)
        except BaseException:
            os.unlink(directory + _LOCK_SUFFIX)
            os.close(lock)
            raise
    return directory, lock


def _disinherit(directory: str) -> None:
    """What is made in it is to have no group and no ACL of the directory that the store happens to be in."""
    if os.stat(directory).st_mode & stat.S_ISGID:
        os.chown(directory, -1, os.getegid())
        os.chmod(directory, 0o700)
    try:
        os.removexattr(directory, "system.posix_acl_default")
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.EOPNOTSUPP):
            raise


def _remove(directory: str, lock: int) -> None:
    try:
        if _remove_tree(directory):
            os.unlink(directory + _LOCK_SUFFIX)  # last: as long as the tree is there, so is its lock file
    finally:
        os.close(lock)


def _remove_tree(directory: str) -> bool:
    """Whether it is gone; if not, files in it are open that were removed on a network file system."""
    try:
        _native.remove_tree(os.fsencode(directory))
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EBUSY) or is_local(directory):
            raise
        return False
    return True


@contextmanager
def _exclusive(work: str) -> Iterator[None]:
    lock = os.open(os.path.join(work, _LOCK_SUFFIX), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def sweep(work: str) -> None:
    """Removes the workspaces of processes that are gone."""
    with _exclusive(work):
        stale = [
            (os.path.join(work, name.removesuffix(_LOCK_SUFFIX)), lock)
            for name in os.listdir(work)
            if name.endswith(_LOCK_SUFFIX) and name != _LOCK_SUFFIX and (lock := _lock_if_stale(work, name)) is not None
        ]
    for directory, lock in stale:
        unmount_below(directory)
        _remove(directory, lock)


def sweep_strays(work: str) -> list[str]:
    """Removes what no lock file belongs to, whoever put it there: the paths. A power cut can leave such."""
    removed = []
    with _exclusive(work):  # a workspace in the making has its lock file before we can look
        names = set(os.listdir(work)) - {_LOCK_SUFFIX}
        for name in sorted(names):
            path = os.path.join(work, name)
            if name.endswith(_LOCK_SUFFIX) or name + _LOCK_SUFFIX in names or is_removed(name):
                continue
            unmount_below(path)
            if os.path.isdir(path) and not os.path.islink(path):
                gone = _remove_tree(path)
            else:
                os.unlink(path)
                gone = True
            if gone:
                removed.append(path)
    return removed


def _lock_if_stale(work: str, name: str) -> int | None:
    try:
        lock = os.open(os.path.join(work, name), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None  # its owner has just removed it
    except PermissionError:
        return None  # another user's
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # No link: its owner removed it between our open and our lock.
        if os.fstat(lock).st_nlink and (is_local(work) or not _may_be_of_another(lock, work)):
            return lock
    except OSError as error:
        # ESTALE: its owner, on another machine, has just removed it.
        if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN, errno.ESTALE):
            os.close(lock)
            raise
    os.close(lock)
    return None


def _may_be_of_another(lock: int, work: str) -> bool:
    if os.read(lock, 64) in (b"", boot_id().encode()):
        return False
    return clock(work) - os.fstat(lock).st_mtime < _STALE_S
