"""The rows of a run of ``bench``: kept on disk as they are measured, and all of it written whole at the end."""

import os
import sys
from types import TracebackType
from typing import Generic, Self, TypeVar

import msgspec

from fswatch_builder.oci.whole import whole_file
from fswatch_builder.research.journal import Journal

H = TypeVar("H")
R = TypeVar("R")


class KeptRows(Generic[H, R]):
    """``rows`` are those that are there, of an interrupted run of the same ``plan`` too. Beside a document that goes to
    a file there is a journal while it is measured; who interrupts it is told.
    """

    def __init__(self, json_file: str | None, plan: H, row: type[R], *, called: str) -> None:
        """``called``: what the rows are, in the plural. OutputError, UsageError."""
        self._json_file = json_file
        self._called = called
        self._journal = None
        if json_file is not None and json_file != "-":
            self._journal = Journal(f"{json_file}.part", plan, row)
        self.rows: list[R] = [] if self._journal is None else list(self._journal.rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What was added stays."""
        if self._journal is None:
            return
        with self._journal:
            if isinstance(error, KeyboardInterrupt):
                kept = f"{len(self.rows):,} {self._called} are kept in {self._journal.path}"
                print(f"{kept}: the same command goes on there", file=sys.stderr)

    def add(self, row: R) -> None:
        """On disk, if there is a journal, before it counts. OutputError."""
        if self._journal is not None:
            self._journal.add(row)
        self.rows.append(row)

    def write(self, document: object) -> None:
        """What came of them; the journal has done its duty. OutputError."""
        if self._json_file is None:
            return
        with whole_file(self._json_file) as file:
            file.write(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")
        if self._journal is not None:
            os.unlink(self._journal.path)
