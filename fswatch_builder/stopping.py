"""How work in other threads is told to end: Python gives signals to the main thread alone.

A thread works `under` a `Stop`, one for all threads of a build. Whoever goes on to the next piece of work, or waits for
something outside, asks whether to: `check`, `pause`, a poll of the descriptor of `current`. Who waits where nothing can
be asked has somebody else end that: `ending`. Where no Stop is in force, as in the main thread, Ctrl-C is an exception
as ever.
"""

import os
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import Self


class Stopped(BaseException):
    """The work of this thread is not wanted any more.

    No ``Exception``, as KeyboardInterrupt is none: nothing may take it for a failure of the work.
    """


class Stop:
    """Set once, for good. A context manager, for it holds a descriptor."""

    def __init__(self) -> None:
        self._descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._actions: dict[object, Callable[[], object]] = {}
        self._turn = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self._descriptor)

    def set(self) -> None:
        """Whoever works under it shall end. From any thread."""
        with self._turn:
            os.eventfd_write(self._descriptor, 1)
            for action in self._actions.values():
                action()

    def fileno(self) -> int:
        """Readable from ``set`` on: nobody takes anything out."""
        return self._descriptor

    @contextmanager
    def ending(self, action: Callable[[], object]) -> Iterator[None]:
        """Whoever sets it meanwhile, or has set it, calls ``action``, which neither waits nor raises."""
        ticket = object()
        with self._turn:
            self._actions[ticket] = action
            if self.wait(0):
                action()
        try:
            yield
        finally:
            with self._turn:
                del self._actions[ticket]

    def wait(self, seconds: float) -> bool:
        """Whether it is set within that time."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(seconds * 1000))


_current: ContextVar[Stop | None] = ContextVar("stop", default=None)  # a new thread begins with the default


@contextmanager
def under(stop: Stop) -> Iterator[None]:
    """What this thread does meanwhile ends with `Stopped` when ``stop`` is set."""
    before = _current.set(stop)
    try:
        yield
    finally:
        _current.reset(before)


@contextmanager
def under_either(stop: Stop) -> Iterator[None]:
    """What this thread does meanwhile ends when ``stop`` is set, and still with what it works under already."""
    with Stop() as both, ending(both.set), stop.ending(both.set), under(both):
        yield


def current() -> Stop | None:
    """The one that this thread works under."""
    return _current.get()


@contextmanager
def ending(action: Callable[[], object]) -> Iterator[None]:
    """For a wait that only ``action`` can end: it is called, in another thread, when this one shall end.

    What follows should `check`, also after an error: it may be of that.
    """
    stop = current()
    if stop is None:
        yield
    else:
        with stop.ending(action):
            yield


def check() -> None:
    """Raises `Stopped` if this thread shall end."""
    pause(0)


def pause(seconds: float) -> None:
    """Waits that long; raises `Stopped` as soon as this thread shall end."""
    stop = current()
    if stop is None:
        select.select([], [], [], seconds)
    elif stop.wait(seconds):
        raise Stopped
