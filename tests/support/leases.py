"""A file server in small: a process that holds leases, and gives them up when it is asked to."""

import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_lease(path: str) -> Iterator[int]:
    """Another process holds a write lease on ``path``. Yields its number; it says nothing, and ends with the block."""
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        fd = os.open(path, os.O_RDONLY)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGIO])
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        os.write(tell, b"x")
        while True:
            signal.sigwait([signal.SIGIO])
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    os.close(tell)
    assert os.read(ready, 1) == b"x", "no lease was had"
    try:
        yield child
    finally:
        os.close(ready)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
