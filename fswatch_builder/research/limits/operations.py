"""Ways to change a tree, one system call or two each."""

import fcntl
import mmap
import os
from collections.abc import Callable, Mapping

_APPEND_ONLY = 0x20
_GETFLAGS, _SETFLAGS = 0x80086601, 0x40086602


def prepare(tree: str) -> None:
    """What the operations find: a file with two names, one that is alone, two directories and a link."""
    os.mkdir(f"{tree}/d")
    os.mkdir(f"{tree}/d/e")
    for name in ("d/file", "d/linked", "d/e/other"):
        with open(f"{tree}/{name}", "wb") as file:
            file.write(b"content of some length")
    os.link(f"{tree}/d/linked", f"{tree}/d/e/link")
    os.symlink("file", f"{tree}/d/symlink")


def _write(tree: str) -> None:
    with open(f"{tree}/d/file", "r+b") as file:
        file.write(b"x")


def _store(tree: str) -> None:
    """Through a mapping: no call tells of it."""
    with open(f"{tree}/d/file", "r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        mapping[0:1] = b"x"


def _unnamed(tree: str) -> None:
    file = os.open(f"{tree}/d", os.O_TMPFILE | os.O_WRONLY, 0o600)
    try:
        os.link(f"/proc/self/fd/{file}", f"{tree}/d/named", follow_symlinks=True)
    finally:
        os.close(file)


def _flags(tree: str) -> None:
    with open(f"{tree}/d/file", "rb") as file:
        value = bytearray(fcntl.ioctl(file, _GETFLAGS, b"\0" * 8))
        value[0] |= _APPEND_ONLY
        fcntl.ioctl(file, _SETFLAGS, bytes(value))
        value[0] &= ~_APPEND_ONLY
        fcntl.ioctl(file, _SETFLAGS, bytes(value))


def _through_a_link(tree: str) -> None:
    """The name by which it is written is gone again."""
    os.link(f"{tree}/d/file", f"{tree}/d/e/passing")
    with open(f"{tree}/d/e/passing", "r+b") as file:
        file.write(b"x")
    os.unlink(f"{tree}/d/e/passing")


def _remove_directory(tree: str) -> None:
    os.unlink(f"{tree}/d/e/other")
    os.unlink(f"{tree}/d/e/link")
    os.rmdir(f"{tree}/d/e")


OPERATIONS: Mapping[str, Callable[[str], object]] = {
    "create": lambda tree: os.close(os.open(f"{tree}/d/new", os.O_CREAT | os.O_WRONLY)),
    "mkdir": lambda tree: os.mkdir(f"{tree}/d/new"),
    "symlink": lambda tree: os.symlink("file", f"{tree}/d/new"),
    "mkfifo": lambda tree: os.mkfifo(f"{tree}/d/new"),
    "link": lambda tree: os.link(f"{tree}/d/file", f"{tree}/d/e/new"),
    "O_TMPFILE and linkat": _unnamed,
    "write": _write,
    "store in a mapping": _store,
    "write to one of two names": lambda tree: os.truncate(f"{tree}/d/e/link", 3),
    "write through a link that goes": _through_a_link,
    "truncate": lambda tree: os.truncate(f"{tree}/d/file", 3),
    "chmod": lambda tree: os.chmod(f"{tree}/d/file", 0o600),
    "chown": lambda tree: os.chown(f"{tree}/d/file", os.getuid(), os.getgid()),
    "utimensat": lambda tree: os.utime(f"{tree}/d/file", (1, 1)),
    "utimensat of a symlink": lambda tree: os.utime(f"{tree}/d/symlink", (1, 1), follow_symlinks=False),
    "setxattr": lambda tree: os.setxattr(f"{tree}/d/file", "user.name", b"value"),
    "FS_IOC_SETFLAGS and back": _flags,
    "rename": lambda tree: os.rename(f"{tree}/d/file", f"{tree}/d/moved"),
    "rename to another directory": lambda tree: os.rename(f"{tree}/d/file", f"{tree}/d/e/moved"),
    "rename of a directory": lambda tree: os.rename(f"{tree}/d/e", f"{tree}/moved"),
    "unlink": lambda tree: os.unlink(f"{tree}/d/file"),
    "unlink of one of two names": lambda tree: os.unlink(f"{tree}/d/linked"),
    "rmdir": _remove_directory,
}
"""What a file system cannot do is an ``OSError``."""
