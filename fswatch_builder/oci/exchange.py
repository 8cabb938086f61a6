"""Two directories change places (renameat2(2), RENAME_EXCHANGE), at once where the file system can."""

import ctypes
import errno
import os
from typing import Final

_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2


def exchange(one: str, other: str) -> None:
    """Afterwards each has the other's name. Where the kernel or disk cannot, ``other`` is missing for a moment."""
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "renameat2"):  # glibc 2.28, musl 1.2.6
        done = libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
        if done == 0:
            return
        code = ctypes.get_errno()
        if code not in (errno.EINVAL, errno.ENOSYS):
            raise OSError(code, os.strerror(code), one, None, other)
    aside = f"{one}.old"
    os.rename(other, aside)
    try:
        os.rename(one, other)
    except BaseException:
        os.rename(aside, other)
        raise
    os.rename(aside, one)
