"""How much of the disk something takes."""

import errno
import os
from typing import Final

#: Reading a tree is for the sum alone: what cannot be looked into counts for nothing.
_UNSEEN: Final = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG)
_BLOCK: Final = 512  # bytes; st_blocks counts these (stat(2))


def disk_usage(path: str) -> int:
    """Bytes that a file, or a directory with all below it, takes on the disk; hard links count once.

    0 for what is not there. No link is followed, nothing but metadata read.
    """
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return 0
    total = status.st_blocks * _BLOCK
    seen: set[int] = set()
    waiting = [path]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    found = entry.stat(follow_symlinks=False)
                    if found.st_dev != status.st_dev or found.st_ino in seen:
                        continue
                    if found.st_nlink > 1:
                        seen.add(found.st_ino)
                    total += found.st_blocks * _BLOCK
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except OSError as error:
            if error.errno not in _UNSEEN:
                raise
    return total
