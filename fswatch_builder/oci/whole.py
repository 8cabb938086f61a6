"""A file or a directory that is written: all of it or nothing."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from fswatch_builder import _native
from fswatch_builder.errors import OutputError
from fswatch_builder.oci.blobs import sync_directory, write_errors
from fswatch_builder.oci.exchange import exchange


@contextmanager
def whole_file(path: str) -> Iterator[BinaryIO]:
    """``path`` has what was written once the block ends well, and is what it was if not. ``-`` is standard output.

    A pipe or a device is written to, never replaced. Raises OutputError, for an ``OSError`` of the block too;
    BrokenPipeError if whoever read standard output went away.
    """
    if path == "-":
        try:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise
        except OSError:
            with write_errors("standard output"):
                raise
        return
    with write_errors(path):
        if _is_special(path):
            with open(path, "wb") as device:
                yield device
        else:
            target = resolved(path)
            draft = _beside(target)
            try:
                with open(draft, "xb") as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(draft, target)
            except BaseException:
                with suppress(FileNotFoundError):
                    os.unlink(draft)
                raise
            sync_directory(os.path.dirname(target))


@contextmanager
def whole_directory(path: str) -> Iterator[str]:
    """A new directory to fill, beside ``path``: it takes its place once the block ends well; what was there goes."""
    target = resolved(path)
    draft = _beside(target)
    os.mkdir(draft)
    try:
        yield draft
        if os.path.lexists(target):
            exchange(draft, target)
        else:
            os.rename(draft, target)
        sync_directory(os.path.dirname(target))
    finally:
        with suppress(FileNotFoundError):
            _native.remove_tree(os.fsencode(draft))


def _beside(path: str) -> str:
    return os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{os.urandom(4).hex()}.tmp")


def resolved(path: str) -> str:
    """Where a path leads, every link followed that the kernel follows.

    realpath reads links and does not follow them, so it must not be the first to meet one that the kernel would not
    follow: someone else's in /tmp (proc(5), protected_symlinks). The stat is.
    """
    with suppress(FileNotFoundError):
        os.stat(path)
    return os.path.realpath(path)


def check_writable(path: str) -> None:
    """Raises OutputError for what ``whole_file`` cannot write: to be told before the work, not after it."""
    if path == "-":
        return
    with write_errors(path):
        if _is_special(path):
            if os.path.isdir(path):
                raise OutputError(f"{path} is a directory", hint="give the path of a file")
            return
        check_parent(path)


def check_parent(path: str) -> None:
    """Raises OutputError where nothing can be made or replaced under this name: its directory is not there, or may not
    be written to.
    """
    with write_errors(path):
        directory = os.path.dirname(resolved(path))
        os.stat(directory)
        if not os.access(directory, os.W_OK | os.X_OK, effective_ids=True):
            raise OutputError(
                f"cannot write to {path}: its directory may not be written to",
                hint="choose a place you may write to",
            )


def _is_special(path: str) -> bool:
    """Whether it is there and no regular file, or names an open one (/dev/stdout)."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return False
    return path.startswith(("/dev/", "/proc/")) or not stat.S_ISREG(status.st_mode)
