"""Rows on disk, as they are measured: what an interrupted run has stays, and the same run goes on from there.

A file of lines, each a JSON document: first what is measured and on what, then a row each. A line that was cut off by
a power failure is the last one, and is measured again.
"""

import os
from types import TracebackType
from typing import Generic, TypeVar

import msgspec

from fswatch_builder.errors import OutputError, UsageError

H = TypeVar("H")
R = TypeVar("R")


class Journal(Generic[H, R]):
    """Rows of one run. ``header`` says what the run is; rows of another run never get into the same file."""

    def __init__(self, path: str, header: H, row: type[R]) -> None:
        """Goes on with the rows at ``path``, if they are of the same run. OutputError, UsageError."""
        self.path = path
        self.header = header
        try:
            self._file = open(path, "a+b")  # noqa: SIM115 - held as long as the run
        except OSError as error:
            raise _unwritable(path, error) from error
        try:
            self.rows = self._read(row)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "Journal[H, R]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What was added stays."""
        self._file.close()

    def add(self, row: R) -> None:
        """On disk before it counts. OutputError."""
        self._append(msgspec.json.encode(row))
        self.rows.append(row)

    def _read(self, row: type[R]) -> list[R]:
        first = msgspec.json.encode(self.header)
        self._file.seek(0)
        content = self._file.read()
        if not content:
            self._append(first)
            return []
        *lines, _cut_off = content.split(b"\n")
        if not lines or lines[0] != first:
            raise UsageError(
                f"{self.path} holds the rows of another run", hint="give another file, or remove it to start anew"
            )
        decoder = msgspec.json.Decoder(row)
        try:
            rows = [decoder.decode(line) for line in lines[1:]]
        except msgspec.DecodeError as error:
            raise UsageError(f"{self.path} holds a row that is none: {error}") from error
        self._file.truncate(sum(len(line) + 1 for line in lines))
        return rows

    def _append(self, line: bytes) -> None:
        try:
            self._file.write(line + b"\n")
            self._file.flush()
            os.fdatasync(self._file.fileno())
        except OSError as error:
            raise _unwritable(self.path, error) from error


def _unwritable(path: str, error: OSError) -> OutputError:
    return OutputError(f"cannot write {path}: {error.strerror}")
