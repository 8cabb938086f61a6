"""A bare reader of one inotify queue, which keeps what it reads for later: nothing it does takes time but reading."""

import os
import select
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from types import TracebackType

from inotify_simple import INotify, flags  # type: ignore[import-untyped]
from msgspec import Struct

_HEADER = struct.Struct("iIII")
_BUFFER = 1 << 20


class Event(Struct, frozen=True):
    """inotify(7)."""

    mask: int
    name: bytes


class Queue:
    """An inotify instance that watches directories for some events."""

    def __init__(self, directories: Sequence[str], mask: int) -> None:
        self._inotify = INotify(nonblocking=True)
        for directory in directories:
            self._inotify.add_watch(directory, mask)
        self._read: list[bytes] = []

    def __enter__(self) -> "Queue":
        return self

    def __exit__(self, *problem: object) -> None:
        self._inotify.close()

    def drain(self) -> None:
        """Reads until there is nothing left."""
        try:
            while content := os.read(self._inotify.fileno(), _BUFFER):
                self._read.append(content)
        except BlockingIOError:
            pass

    def drain_until_end(self, process: "subprocess.Popen[bytes]", interval_s: float | None) -> int:
        """Drains every ``interval_s`` (0: as soon as there is something, None: not at all) while the process runs, and
        once more when it has ended, which is noticed at once. Returns how often.
        """
        drains = 1
        ended = os.pidfd_open(process.pid)
        try:
            sources = [ended, self._inotify.fileno()] if interval_s == 0 else [ended]
            while ended not in select.select(sources, [], [], interval_s or None)[0]:
                self.drain()
                drains += 1
        finally:
            os.close(ended)
        process.wait()
        self.drain()
        return drains

    def events(self) -> Iterator[Event]:
        """All that was read."""
        for content in self._read:
            offset = 0
            while offset < len(content):
                _, mask, _, length = _HEADER.unpack_from(content, offset)
                offset += _HEADER.size
                yield Event(mask, content[offset : offset + length].rstrip(b"\0"))
                offset += length


OVERFLOW = int(flags.Q_OVERFLOW)


class Child(subprocess.Popen[bytes]):
    """A process beside us, which is over at the end of a ``with``: killed, if that is left by an error or Ctrl-C."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.kill()
        super().__exit__(kind, error, trace)


def child(script: str, *arguments: str) -> Child:
    """Python that runs beside us. ``arguments`` are its ``sys.argv[1:]``. Ctrl-C is our business, not its."""
    command = [sys.executable, "-S", "-c", script, *arguments]
    return Child(command, stdout=subprocess.PIPE, start_new_session=True)
