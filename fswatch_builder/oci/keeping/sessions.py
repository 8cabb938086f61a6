"""Who uses the store now, and what must not be removed meanwhile.

A session is one use of a store by one process. Its leases are rows of the database; that it lives is told by a lock on
``sessions/ID``, which the kernel drops with the process, however that ends: no process number is asked for, since the
other side may be in another container. Where several machines share the file system, a session also touches that file
every minute; a lock that is gone there may have been lost on the way (NFSv4 drops those of a client that it does not
hear of for 90 seconds), so the session counts as dead only when it has been silent, too.

Leasing is a transaction, and so is removing:

    build                                   prune
    leases blob B                           begins, finds no lease for C
    looks for B: there it is                moves C away
                                            commits
    leases blob C (waited for the commit)
    looks for C: it is gone, so it makes it anew

So a lease always comes first and the look after it; what was seen before the lease proves nothing, and of a network
file system a look has to ask the server (``blobs.is_there``).
"""

import errno
import fcntl
import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from msgspec import Struct

from fswatch_builder.errors import BuildError, StoreError
from fswatch_builder.oci.blobs import is_there, write_errors
from fswatch_builder.oci.boot import boot_id
from fswatch_builder.oci.filesystem import ask, clock, is_local, is_removed
from fswatch_builder.oci.state import State

DIRECTORY: Final = "sessions"
#: Seconds. A session on another machine that lost its lock is dead after that long without a sign of life.
_EXPIRES_S: Final = 900
_REFRESH_S: Final = 60


class Running(Struct, frozen=True):
    """A session that lives: where, and since when (seconds since the epoch)."""

    host: str
    pid: int
    started: int


class Session:
    """One use of the store by this process. It begins with its first lease."""

    def __init__(self, state: State, store: str) -> None:
        """``store`` is the store's directory."""
        self._state = state
        self._directory = os.path.join(store, DIRECTORY)
        self._id = os.urandom(8).hex()
        self._lock: int | None = None
        self._leased: dict[tuple[str, str], int] = {}
        self._ended = threading.Event()

    def lease(self, kind: str, keys: Sequence[str]) -> None:
        """From now on none of these is removed; as often as they are leased they have to be released."""
        with self._state.transaction():
            new = [key for key in keys if (kind, key) not in self._leased]
            if new:
                self._begin()
                self._state.change_all(
                    "INSERT OR IGNORE INTO leases VALUES (?, ?, ?)", [(self._id, kind, key) for key in new]
                )
            for key in keys:
                self._leased[kind, key] = self._leased.get((kind, key), 0) + 1

    def keep(self, kind: str, keys: Sequence[str]) -> None:
        """As ``lease``, until the session ends."""
        new = [key for key in keys if (kind, key) not in self._leased]
        if new:
            self.lease(kind, new)

    def release(self, kind: str, key: str) -> None:
        """One ``lease`` less."""
        with self._state.transaction():
            self._leased[kind, key] -= 1
            if not self._leased[kind, key]:
                del self._leased[kind, key]
                self._state.change("INSERT OR REPLACE INTO uses VALUES (?, ?, ?)", kind, key, _now())
                self._state.change("DELETE FROM leases WHERE session = ? AND kind = ? AND key = ?", self._id, kind, key)

    def leased(self, kind: str) -> frozenset[str]:
        """Keys of this kind that living sessions have leased, this one too. Those of the dead are released."""
        with self._state.transaction():
            self._bury()
            return frozenset(key for (key,) in self._state.rows("SELECT key FROM leases WHERE kind = ?", kind))

    def others(self) -> list[Running]:
        """The other sessions that live."""
        with self._state.transaction():
            self._bury()
            rows = self._state.rows("SELECT host, pid, started FROM sessions WHERE id <> ? ORDER BY started", self._id)
        return [Running(*row) for row in rows]

    def strangers(self) -> bool:
        """Whether a session lives that the database does not know, having been made anew since: nobody knows what that
        one has leased. Also removes what the dead left here.
        """
        with self._state.transaction():
            self._bury()
            known = {name for (name,) in self._state.rows("SELECT id FROM sessions")}
            listed = os.listdir(self._directory) if os.path.isdir(self._directory) else []
            found = {name for name in listed if not is_removed(name)}
            living = False
            for name in found - known:
                if self._lives(name, boot_id()):
                    living = True
                else:
                    self._unlink(name)
            return living

    def close(self) -> None:
        """Ends the session. Where that cannot be written down, the next one finds its lock free and does it."""
        self._ended.set()
        if self._lock is None:
            return
        with suppress(BuildError), self._state.transaction():
            self._retire(self._id)
            self._unlink(self._id)
        with suppress(OSError):  # of a lock that was lost on the way (nfs(5)); nothing that is needed was written there
            os.close(self._lock)
        self._lock = None
        self._leased.clear()

    def _begin(self) -> None:
        if self._lock is not None:
            self._go_on()
            return
        self._bury()
        with write_errors(self._directory):
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            lock = os.open(self._path(self._id), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._write_down()
                os.write(lock, f"{os.uname().nodename} {os.getpid()} {boot_id()} {_now()}\n".encode())  # for people
            except BaseException:
                self._unlink(self._id)
                os.close(lock)
                raise
        self._lock = lock
        if not is_local(self._directory):
            threading.Thread(target=self._refresh, args=(lock,), name="store lease", daemon=True).start()

    def _write_down(self) -> None:
        self._state.change(
            "INSERT INTO sessions VALUES (?, ?, ?, ?, ?)",
            self._id, os.uname().nodename, boot_id(), os.getpid(), _now(),
        )  # fmt: skip

    def _go_on(self) -> None:
        """The database may have been made anew since we began, and another machine may have taken us for dead."""
        if self._state.rows("SELECT 1 FROM sessions WHERE id = ?", self._id):
            return
        if not is_there(self._path(self._id)):
            raise StoreError(
                f"the store {os.path.dirname(self._directory)} had no sign of life of this process for "
                f"{_EXPIRES_S // 60} minutes, so another one took it for dead: what it used may have been removed",
                hint="start it again",
            )
        self._write_down()

    def _refresh(self, lock: int) -> None:
        while not self._ended.wait(_REFRESH_S):
            with suppress(OSError):  # a server that does not answer now may do so in a minute
                os.utime(lock)

    def _bury(self) -> None:
        for name, boot in self._state.rows("SELECT id, boot FROM sessions"):
            if name != self._id and not self._lives(name, boot):
                self._retire(name)
                self._unlink(name)

    def _retire(self, name: str) -> None:
        """What it had leased was in use up to now."""
        self._state.change(
            "INSERT OR REPLACE INTO uses SELECT kind, key, ? FROM leases WHERE session = ?", _now(), name
        )
        self._state.change("DELETE FROM leases WHERE session = ?", name)
        self._state.change("DELETE FROM sessions WHERE id = ?", name)

    def _lives(self, name: str, boot: str) -> bool:
        try:
            for directory in (os.path.dirname(self._directory), self._directory):
                ask(directory)
            lock = os.open(self._path(name), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except PermissionError:
            return True  # another user's: not ours to judge
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            sign_of_life = os.fstat(lock).st_mtime
        except BlockingIOError:
            return True
        except OSError as error:
            if error.errno == errno.ESTALE:
                return False  # it has just been removed on another machine
            raise
        finally:
            os.close(lock)
        # By one clock: the file server's is not ours.
        return boot != boot_id() and clock(self._directory) - sign_of_life < _EXPIRES_S

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)

    def _unlink(self, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._path(name))


def _now() -> int:
    return int(time.time())
