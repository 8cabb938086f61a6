"""fanotify(7) by hand, for tests of what the kernel does: no library between the test and the records."""

import ctypes
import fcntl
import os
import struct
import termios
from dataclasses import dataclass, field

CLOEXEC, NONBLOCK, UNLIMITED_QUEUE = 0x1, 0x2, 0x10
REPORT_FID, REPORT_DIR_FID, REPORT_NAME, REPORT_TARGET_FID = 0x200, 0x400, 0x800, 0x1000
REPORT = REPORT_FID | REPORT_DIR_FID | REPORT_NAME | REPORT_TARGET_FID

FLAGS = {
    0x2: "MODIFY",
    0x4: "ATTRIB",
    0x8: "CLOSE_WRITE",
    0x100: "CREATE",
    0x200: "DELETE",
    0x1000: "OPEN_EXEC",
    0x4000: "Q_OVERFLOW",
    0x10000000: "RENAME",
    0x40000000: "ONDIR",
}
MASK = 0x2 | 0x4 | 0x8 | 0x100 | 0x200 | 0x10000000 | 0x40000000

_MARK_ADD, _MARK_FILESYSTEM = 0x1, 0x100
_AT_EMPTY_PATH = 0x1000
_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


@dataclass(frozen=True)
class Handle:
    """A file handle as the kernel encodes it."""

    type: int
    data: bytes

    @property
    def words(self) -> tuple[int, ...]:
        """The data as native 32-bit numbers."""
        return struct.unpack(f"={len(self.data) // 4}I", self.data)


@dataclass(frozen=True)
class Event:
    """One event: what, by whom, and the inodes and names it carries."""

    what: str
    pid: int
    target: Handle | None = None
    places: tuple[tuple[Handle, bytes], ...] = field(default=())
    """(directory, name): one, or the old and the new of a rename."""

    @property
    def names(self) -> tuple[bytes, ...]:
        return tuple(name for _, name in self.places)


def handle_of(path: str | bytes) -> Handle:
    """name_to_handle_at(2)."""
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    try:
        buffer = ctypes.create_string_buffer(struct.pack("=Ii", 128, 0) + bytes(128), 136)
        mount = ctypes.c_int()
        _checked(_libc.name_to_handle_at(descriptor, b"", buffer, ctypes.byref(mount), _AT_EMPTY_PATH))
    finally:
        os.close(descriptor)
    return _handle(buffer.raw)[0]


def _handle(record: bytes) -> tuple[Handle, bytes]:
    length, kind = struct.unpack_from("=Ii", record)
    return Handle(kind, record[8 : 8 + length]), record[8 + length :]


class Group:
    """A group with one mark on the file system of ``path``. A context manager."""

    def __init__(self, path: str | bytes, *, mask: int = MASK, flags: int = UNLIMITED_QUEUE) -> None:
        """``OSError`` from fanotify_init(2) or fanotify_mark(2)."""
        self.fd = _checked(_libc.fanotify_init(CLOEXEC | NONBLOCK | REPORT | flags, os.O_RDONLY))
        try:
            place = os.fsencode(path)
            _checked(
                _libc.fanotify_mark(self.fd, _MARK_ADD | _MARK_FILESYSTEM, ctypes.c_uint64(mask), -100, place),
            )
        except OSError:
            os.close(self.fd)
            raise

    def __enter__(self) -> "Group":
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self.fd)

    def queued(self) -> int:
        """What FIONREAD says."""
        answer = ctypes.c_int()
        fcntl.ioctl(self.fd, termios.FIONREAD, answer)
        return answer.value

    def read(self) -> list[Event]:
        """All events there are."""
        found: list[Event] = []
        while True:
            try:
                data = os.read(self.fd, 1 << 16)
            except BlockingIOError:
                return found
            while data:
                length = struct.unpack_from("=I", data)[0]
                found.append(_event(data[:length]))
                data = data[length:]

    def within(self, directory: str | bytes) -> list[Event]:
        """Events of ``directory`` and the entries in it: others use the file system meanwhile."""
        here = handle_of(directory)
        return [
            event for event in self.read() if event.target == here or any(handle == here for handle, _ in event.places)
        ]


def _event(data: bytes) -> Event:
    _, _, _, start, mask, _, pid = struct.unpack_from("=IBBHQii", data)
    what = "|".join(name for bit, name in FLAGS.items() if mask & bit)
    target, places = None, []
    while start < len(data):
        kind, _, length = struct.unpack_from("=BBH", data, start)
        record = data[start + 12 : start + length]  # after the header and the fsid
        if kind == 1:
            target = _handle(record)[0]
        else:
            handle, name = _handle(record)
            places.append((handle, name.split(b"\0")[0]))
        start += length
    return Event(what, pid, target, tuple(places))
