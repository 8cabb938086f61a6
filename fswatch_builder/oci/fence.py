"""Keeps a transaction from writing what an NFS 4 server has allowed to somebody else meanwhile.

A client that is cut off for longer than its lease loses its locks, and the kernel refuses (EIO) what a process writes
to a file that it had locked (nfs(5), fs/nfs: NFS_LOCK_LOST). sqlite locks the database, not the journal:

    machine A                                  machine B
                                               locks the database, begins a journal, is cut off
    is given the lock, changes the database,
    is done
                                               is back, and ends the journal: that works
                                               writes the database: refused, it gives up
    finds the journal of one who died, and
    undoes what it has done itself

So the journal is locked too, in the same transaction: then both locks are lost or neither.
"""

import fcntl
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Fence:
    """For one connection to a database, which locks it with fcntl(2): those locks are the process', as ours are."""

    def __init__(self, database: str, journal: str) -> None:
        """Both are there, and stay. Raises OSError."""
        self._journal = journal
        # Read past the cache: a read that asks the server.
        self._database = os.open(database, os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)
        self._block = mmap.mmap(-1, mmap.PAGESIZE)

    def close(self) -> None:
        """Once the connection is closed: a process that closes a file loses its locks of it (fcntl(2))."""
        os.close(self._database)

    @contextmanager
    def raised(self) -> Iterator[None]:
        """To be entered when the connection has locked the database and has not changed it yet: sqlite opens the
        journal before that, and later to write it, and when it closes it our lock is gone too.

        Raises OSError: EIO, if the lock of the database was lost before that of the journal was had.
        """
        journal = os.open(self._journal, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.lockf(journal, fcntl.LOCK_EX)
            self.check()
            yield
        finally:
            with suppress(OSError):  # of what sqlite wrote: it has been told
                os.close(journal)

    def check(self) -> None:
        """Raises OSError (EIO) if the lock of the database was lost up to now."""
        os.preadv(self._database, [self._block], 0)
