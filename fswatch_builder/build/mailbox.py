"""Messages to the main thread, which hears signals while it waits for one.

A queue of the standard library would lose the signal that comes between the last instruction in Python and the wait for
a lock, or that the kernel gives to another thread: nothing wakes the main thread, and its handler runs with the next
message, however late. So the wait is for a pipe, which Python's own handler writes to in whatever thread it runs
(``signal.set_wakeup_fd``).
"""

import os
import select
import signal
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Generic, Self, TypeVar

Message = TypeVar("Message")


class Mailbox(Generic[Message]):
    """In the order in which they came. A context manager, for it holds descriptors."""

    def __init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._rung, self._bell = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self._rung)
        os.close(self._bell)

    def put(self, message: Message) -> None:
        """From any thread, and from the handler of a signal."""
        self._messages.append(message)
        with suppress(BlockingIOError):  # it rings
            os.write(self._bell, b"\0")

    def get(self) -> Message:
        """Waits for one. Under `hearing_signals` their handlers run meanwhile, and may put one."""
        poll = select.poll()
        poll.register(self._rung, select.POLLIN)
        while not self._messages:
            poll.poll()
            os.read(self._rung, select.PIPE_BUF)
        return self._messages.popleft()

    @contextmanager
    def hearing_signals(self) -> Iterator[None]:
        """Signals end a wait meanwhile, whichever thread they came to. In the main thread alone."""
        before = signal.set_wakeup_fd(self._bell, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
