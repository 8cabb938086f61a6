"""fanotify(7) in plain Python, independent of the product's reader: what the kernel reports, for tests of facts."""

import ctypes
import errno
import fcntl
import os
import struct
import termios
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag
from typing import NamedTuple, Self

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fanotify_mark.argtypes = [ctypes.c_int, ctypes.c_uint, ctypes.c_uint64, ctypes.c_int, ctypes.c_char_p]

_AT_FDCWD = -100
_CLOEXEC, _NONBLOCK, _UNLIMITED_QUEUE = 0x1, 0x2, 0x10
_REPORT_FID, _REPORT_DIR_FID, _REPORT_NAME, _REPORT_TARGET_FID = 0x200, 0x400, 0x800, 0x1000
_REPORT_MNT = 0x4000
DFID_NAME_TARGET = _REPORT_FID | _REPORT_DIR_FID | _REPORT_NAME | _REPORT_TARGET_FID
_MARK_ADD, _MARK_REMOVE, MARK_INODE, MARK_FILESYSTEM, _MARK_MNTNS = 0x1, 0x2, 0x0, 0x100, 0x110
# Kinds of information records.
_FID, _DFID_NAME, _DFID, _MNT, _OLD_DFID_NAME, _NEW_DFID_NAME = 1, 2, 3, 7, 10, 12


class Event(IntFlag):
    """FAN_* of linux/fanotify.h."""

    MODIFY = 0x2
    ATTRIB = 0x4
    CLOSE_WRITE = 0x8
    OPEN = 0x20
    CREATE = 0x100
    DELETE = 0x200
    DELETE_SELF = 0x400
    MOVE_SELF = 0x800
    OPEN_EXEC = 0x1000
    Q_OVERFLOW = 0x4000
    MNT_ATTACH = 0x0100_0000
    MNT_DETACH = 0x0200_0000
    RENAME = 0x1000_0000
    ONDIR = 0x4000_0000


CHANGES = (
    Event.MODIFY
    | Event.ATTRIB
    | Event.CLOSE_WRITE
    | Event.CREATE
    | Event.DELETE
    | Event.DELETE_SELF
    | Event.RENAME
    | Event.ONDIR
)


class Handle(NamedTuple):
    """A file handle as the kernel encodes it: names an inode of one file system."""

    type: int
    data: bytes

    @property
    def words(self) -> tuple[int, ...]:
        """The data as native 32-bit numbers."""
        return struct.unpack(f"={len(self.data) // 4}I", self.data)


@dataclass(frozen=True, slots=True)
class Record:
    """One event. A rename has its old place in ``directory`` and ``name``, the new one in ``new``."""

    mask: Event
    pid: int
    directory: Handle | None = None
    name: bytes = b""
    target: Handle | None = None
    new: tuple[Handle, bytes] | None = None

    @property
    def what(self) -> str:
        return "|".join(str(flag.name) for flag in self.mask)

    @property
    def places(self) -> tuple[tuple[Handle, bytes], ...]:
        """(directory, name): none, one, or the old and the new of a rename."""
        old = () if self.directory is None else ((self.directory, self.name),)
        return old if self.new is None else (*old, self.new)

    @property
    def names(self) -> tuple[bytes, ...]:
        return tuple(name for _, name in self.places)


class Fanotify:
    """A notification group. What fails is an ``OSError``."""

    def __init__(self, report: int = DFID_NAME_TARGET, *, unlimited: bool = True) -> None:
        flags = _CLOEXEC | _NONBLOCK | report | (_UNLIMITED_QUEUE if unlimited else 0)
        self._fd = _checked(_libc.fanotify_init(flags, os.O_RDONLY | os.O_LARGEFILE))

    @classmethod
    def of_mounts(cls) -> Self:
        """Reports mounts and unmounts of this mount namespace (Linux 6.14)."""
        group = cls(_REPORT_MNT, unlimited=False)
        namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY)
        try:
            flags = _MARK_ADD | _MARK_MNTNS
            _checked(_libc.fanotify_mark(group._fd, flags, Event.MNT_ATTACH | Event.MNT_DETACH, namespace, None))
        except OSError:
            group.close()
            raise
        finally:
            os.close(namespace)
        return group

    def queued(self) -> int:
        """What FIONREAD says, in bytes."""
        answer = ctypes.c_int()
        fcntl.ioctl(self._fd, termios.FIONREAD, answer)
        return answer.value

    def mark(self, path: os.PathLike[str] | str, mask: int = CHANGES, kind: int = MARK_FILESYSTEM) -> None:
        """Adds a mark for the file system, or the inode, of ``path``."""
        _checked(_libc.fanotify_mark(self._fd, _MARK_ADD | kind, mask, _AT_FDCWD, os.fsencode(path)))

    def unmark(self, path: os.PathLike[str] | str, mask: int, kind: int = MARK_FILESYSTEM) -> None:
        """Takes events out of a mark."""
        _checked(_libc.fanotify_mark(self._fd, _MARK_REMOVE | kind, mask, _AT_FDCWD, os.fsencode(path)))

    def read(self) -> list[Record]:
        """Everything queued."""
        records: list[Record] = []
        while True:
            try:
                data = os.read(self._fd, 1 << 16)
            except BlockingIOError:
                return records
            records += list(_parsed(data))

    def close(self) -> None:
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _parsed(data: bytes) -> Iterator[Record]:
    at = 0
    while at < len(data):
        length, version, _, header, mask, fd, pid = struct.unpack_from("=IBBHQii", data, at)
        assert version == 3
        assert fd == -1  # FAN_NOFD: such groups report handles
        directory, name, target, new = None, b"", None, None
        info = at + header
        while info < at + length:
            kind, _, size = struct.unpack_from("=BBH", data, info)
            body = data[info + 4 : info + size]
            if kind == _FID:
                target = _handle(body)[0]
            elif kind in (_DFID, _DFID_NAME, _OLD_DFID_NAME):
                directory, name = _handle(body)
            elif kind == _NEW_DFID_NAME:
                new = _handle(body)
            else:
                assert kind == _MNT
            info += size
        yield Record(Event(mask), pid, directory, name, target, new)
        at += length


def _handle(body: bytes) -> tuple[Handle, bytes]:
    """The handle, and the name behind it. An fsid of 8 bytes precedes both."""
    size, kind = struct.unpack_from("=Ii", body, 8)
    return Handle(kind, body[16 : 16 + size]), body[16 + size :].split(b"\0")[0]


class _FileHandle(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint), ("kind", ctypes.c_int), ("bytes", ctypes.c_ubyte * 128)]


def handle_of(path: os.PathLike[str] | str) -> Handle:
    """name_to_handle_at(2), no link followed."""
    handle, mount = _FileHandle(size=128), ctypes.c_int()
    _checked(_libc.name_to_handle_at(_AT_FDCWD, os.fsencode(path), ctypes.byref(handle), ctypes.byref(mount), 0))
    return Handle(handle.kind, bytes(handle.bytes[: handle.size]))


def open_by_handle(mount: os.PathLike[str] | str, handle: Handle, flags: int) -> int:
    """open_by_handle_at(2): needs CAP_DAC_READ_SEARCH."""
    raw = _FileHandle(size=len(handle.data), kind=handle.type, bytes=(ctypes.c_ubyte * 128)(*handle.data))
    root = os.open(mount, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return _checked(_libc.open_by_handle_at(root, ctypes.byref(raw), flags))
    finally:
        os.close(root)


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def refused(error: OSError) -> bool:
    """Whether fanotify cannot be had here: no right, or a kernel or file system without it."""
    return error.errno in {errno.EPERM, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENODEV, errno.EXDEV}


def opened_without_events(path: os.PathLike[str] | str) -> int:
    """The descriptor for writing that an event of ``path`` brings along: nobody is told what is done with it.

    The kernel opens it so (FMODE_NONOTIFY) lest who watches hears of itself.
    """
    group = _checked(_libc.fanotify_init(_CLOEXEC, os.O_RDWR))
    try:
        _checked(_libc.fanotify_mark(group, _MARK_ADD, Event.OPEN, _AT_FDCWD, os.fsencode(path)))
        os.close(os.open(path, os.O_RDONLY))
        descriptor: int = struct.unpack_from("=IBBHQii", os.read(group, 4096))[5]
        return descriptor
    finally:
        os.close(group)
