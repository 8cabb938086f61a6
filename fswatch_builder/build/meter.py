"""How much of some files was read, told now and then to whoever has waited for a second.

Whoever reads a file moves its offset, in this process or in the core, and all duplicates of a descriptor share that: it
says how far the reading is, so nobody has to count.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol, Self

_FIRST_S: Final = 1.0
_NEXT_S: Final = 0.25


class Listener(Protocol):
    """Who is told what goes on."""

    def note(self, text: str) -> None:
        """Something worth knowing."""

    def step(self) -> int:
        """The step that this thread is at."""

    def progress(self, step: int, what: str, done: int, total: int) -> None:
        """So many bytes of all are done. From any thread."""


class Silent:
    """For those who do not want to know."""

    def note(self, text: str) -> None:
        """Drops it."""

    def step(self) -> int:
        """None in particular."""
        return 0

    def progress(self, step: int, what: str, done: int, total: int) -> None:
        """Drops it."""


SILENT: Final = Silent()


class Meter:
    """A context manager around the work."""

    def __init__(self, tell: Listener, what: str, total: int) -> None:
        """``total``: bytes of all files that will be read."""
        self._tell = tell
        self._step = tell.step()
        self._what = what
        self._total = total
        self._before = 0
        self._within: Callable[[], int] = _nothing
        self._lock = threading.Lock()
        self._told = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="meter", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._told and kind is None:
            self._tell.progress(self._step, self._what, self._total, self._total)

    @contextmanager
    def reading(self, descriptor: int, size: int) -> Iterator[None]:
        """While the file is read, which has so many bytes."""
        with self.following(lambda: os.lseek(descriptor, 0, os.SEEK_CUR), size):
            yield

    @contextmanager
    def following(self, done: Callable[[], int], size: int) -> Iterator[None]:
        """While something else knows how many bytes of so many are ``done``. It does not wait."""
        with self._lock:
            self._within = done
        try:
            yield
        finally:
            with self._lock:
                self._within = _nothing
                self._before += size

    def _work(self) -> None:
        wait = _FIRST_S
        while not self._ended.wait(wait):
            wait = _NEXT_S
            with self._lock:
                done = min(self._before + self._within(), self._total)
            self._told = True
            self._tell.progress(self._step, self._what, done, self._total)


def _nothing() -> int:
    return 0
