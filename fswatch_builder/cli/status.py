"""One line of progress on a terminal, gone in the end; nothing anywhere else."""

import time
from types import TracebackType
from typing import Final, Self, TextIO

_FIRST_S: Final = 1.0  # what takes less needs no progress
_NEXT_S: Final = 0.2


class StatusLine:
    """A context manager that takes the last line of the terminal for itself."""

    def __init__(self, stream: TextIO) -> None:
        """Starts the clock."""
        self._stream = stream
        self._due = time.monotonic() + _FIRST_S if stream.isatty() else float("inf")
        self._shown = False

    def show(self, text: str) -> None:
        """Where things stand, if it is time to say so. Without control characters."""
        now = time.monotonic()
        if now >= self._due:
            self._due = now + _NEXT_S
            self._shown = True
            self._stream.write(f"\r\x1b[K{text}")
            self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
