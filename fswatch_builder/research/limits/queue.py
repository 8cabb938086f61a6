"""A bare reader of one inotify queue, which keeps what it reads for later: nothing it does takes time but reading."""

import os
import select
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from inotify_simple import INotify, flags  # type: ignore[import-untyped]

_HEADER = struct.Struct("iIII")
_BUFFER = 1 << 20
_PATIENCE_S = 0.05
"""How long the end of the process may go unnoticed if nothing happens."""


@dataclass(frozen=True, slots=True)
class Event:
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
        once more when it has ended. Returns how often.
        """
        drains = 0
        while interval_s is not None and process.poll() is None:
            if interval_s:
                time.sleep(interval_s)
            else:
                select.select([self._inotify.fileno()], [], [], _PATIENCE_S)
            self.drain()
            drains += 1
        process.wait()
        self.drain()
        return drains + 1

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


def child(script: str, *arguments: str) -> "subprocess.Popen[bytes]":
    """Python that runs beside us. ``arguments`` are its ``sys.argv[1:]``."""
    return subprocess.Popen([sys.executable, "-S", "-c", script, *arguments], stdout=subprocess.PIPE)
