"""Two directories change places, at once where the file system can."""

import errno
import os

from fswatch_builder import _native


def exchange(one: str, other: str) -> None:
    """Afterwards each has the other's name. Where the kernel or disk cannot, ``other`` is missing for a moment."""
    try:
        _native.exchange(os.fsencode(one), os.fsencode(other))
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS):
            raise
    else:
        return
    aside = f"{one}.old"
    os.rename(other, aside)
    try:
        os.rename(one, other)
    except BaseException:
        os.rename(aside, other)
        raise
    os.rename(aside, one)
