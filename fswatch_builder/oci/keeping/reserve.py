"""A little room that a prune can have when the disk is full: removing things needs some, too.

A database that forgets rows writes them to its log first, and names are taken from a list by writing another one.
"""

import os
from contextlib import suppress
from typing import Final

from fswatch_builder.oci.blobs import write_errors

_NAME: Final = "reserve"
_BYTES: Final = 1 << 20


def keep_reserve(store: str) -> None:
    """Sees to it that there is one, if there is room for it."""
    path = os.path.join(store, _NAME)
    if os.path.exists(path):
        return
    with suppress(OSError):  # no room, or not ours to make: then there is none
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, _BYTES)
        except OSError:
            os.unlink(path)  # half of it would pass for all of it
            raise
        finally:
            os.close(descriptor)


def give_up_reserve(store: str) -> None:
    """Before room is made. The next one who closes the store sees to another. Raises OutputError."""
    with write_errors(store), suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(os.path.join(store, _NAME))
