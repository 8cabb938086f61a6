"""A process of ours that is no child of ours.

Where a command is followed to the end of its last process, every child is taken for one of it (runtime/command.py). A
daemon that serves meanwhile must not be among them, so a shell starts it, and is gone when that is done.
"""

import os
import select
import signal
import subprocess
from collections.abc import Mapping, Sequence

import psutil  # type: ignore[import-untyped]

#: $0 takes what it prints. It stays a child of the shell, and its number its own, until we have a descriptor for it.
_START = '"$@" > "$0" 2>&1 < /dev/null & echo $!; read -r _'


class Apart:
    """Started when it is made. Ctrl-C does not reach it: who has it ends it."""

    def __init__(self, argv: Sequence[str], log: str, environment: Mapping[str, str] | None = None) -> None:
        """``log`` is the file that takes what it prints."""
        shell = ["sh", "-c", _START, log, *argv]
        with subprocess.Popen(
            shell, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as starting:
            assert starting.stdout is not None
            self.pid = int(starting.stdout.readline())
            self._descriptor: int | None = os.pidfd_open(self.pid)

    def has_ended(self, within_s: float | None) -> bool:
        """Whether it has, or does in so many seconds; None: however long that takes."""
        if self._descriptor is None:
            return True
        ready, _, _ = select.select([self._descriptor], [], [], within_s)
        return bool(ready)

    def children(self) -> list[psutil.Process]:
        """Those that it has now."""
        return [] if self.has_ended(0) else list(psutil.Process(self.pid).children())

    def send(self, number: signal.Signals) -> None:
        """Nothing if it has ended."""
        if self._descriptor is not None and not self.has_ended(0):
            signal.pidfd_send_signal(self._descriptor, number)

    def end(self, number: signal.Signals, grace_s: float) -> None:
        """Asks it to end, and kills it if it does not; a second call does nothing."""
        self.send(number)
        if not self.has_ended(grace_s):
            self.send(signal.SIGKILL)
            self.has_ended(None)
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
