"""The database beside the blobs: what an image layout cannot say.

Layers by diffID, results of steps, notes, who uses the store and what (sessions, leases), when things were last used.
All of it can be lost: images and their names are in the layout.

A transaction that writes holds the database's lock; the store uses it as its lock for everything that must not happen
at once, on several machines too (sqlite locks by fcntl(2), which network file systems carry). A write-ahead log wants
memory shared by all its users, so it is for local file systems only (sqlite.org/wal.html). Elsewhere the journal is a
file that is never removed nor emptied (``PERSIST``): whether one was left by a machine that is gone, sqlite asks with
stat(2), and an NFS client may answer that from memory, up to a minute old. Of a file that is always there, it has to
open it.

    machine A                          machine B
                                       its last transaction removed the journal
    writes a journal, then the
    database, and dies
                                       locks the database, believes that there is no journal, reads half a transaction

What a machine may still write that has lost its lock on the way: fence.py.

A store that was once on a shared file system keeps that journal, whoever opens it: on the file server itself it looks
like a local one.
"""

import errno
import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from fswatch_builder.errors import StoreError
from fswatch_builder.oci.blobs import write_error
from fswatch_builder.oci.filesystem import is_local, loses_locks

if TYPE_CHECKING:
    from fswatch_builder.oci.fence import Fence

VERSION: Final = 2
_BUSY_SECONDS: Final = 60
#: A client that comes back may lose a lock again that it took before it knew what it had lost.
_ATTEMPTS: Final = 10
#: The least that sqlite needs beside the database: an index of the log (32 KiB), and a page or two.
_LOG_BYTES: Final = 64 << 10
_FILES: Final = ("state.db", "state.db-wal", "state.db-shm", "state.db-journal")

_ADDED_IN_2: Final = """
CREATE TABLE sessions (
    id TEXT NOT NULL PRIMARY KEY, host TEXT NOT NULL, boot TEXT NOT NULL, pid INTEGER NOT NULL, started INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE leases (
    session TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (session, kind, key)
) WITHOUT ROWID;
CREATE TABLE uses (kind TEXT NOT NULL, key TEXT NOT NULL, used INTEGER NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TABLE kept (
    kind TEXT NOT NULL, key TEXT NOT NULL, label TEXT NOT NULL, boot TEXT NOT NULL, PRIMARY KEY (kind, key)
) WITHOUT ROWID;
"""
_SCHEMA: Final = """
CREATE TABLE layers (
    diff_id TEXT NOT NULL, compression TEXT NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL,
    PRIMARY KEY (diff_id, compression)
) WITHOUT ROWID;
CREATE TABLE steps (key TEXT NOT NULL PRIMARY KEY, diff_id TEXT, created INTEGER) WITHOUT ROWID;
CREATE TABLE notes (
    kind TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, noted INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;
"""
#: Names were here too, behind index.json, and the time of a step among the notes.
_FROM_1_TO_2: Final = """
DROP TABLE names;
ALTER TABLE steps ADD COLUMN created INTEGER;
ALTER TABLE notes ADD COLUMN noted INTEGER NOT NULL DEFAULT 0;
UPDATE steps SET created = moment FROM (
    SELECT 'sha256:' || lower(hex(key)) AS step, CAST(CAST(value AS TEXT) AS INTEGER) AS moment
    FROM notes WHERE kind = 'step time'
) WHERE key = step;
DELETE FROM notes WHERE kind = 'step time';
"""

Value = str | bytes | int | None


@contextmanager
def exclusive(directory: str) -> Iterator[None]:
    """For what must not be done by two at once while there is no database yet.

    Connections are opened in turn: a switch of the journal needs the database for itself and, unlike everything after
    it, fails at once with "database is locked" instead of waiting for another connection.

    A file, not the directory: over NFS flock(2) wants a descriptor that may write.
    """
    descriptor = os.open(os.path.join(directory, ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class State:
    """One connection. Several processes may have one each, several threads share one."""

    def __init__(self, directory: str) -> None:
        """Opens ``directory``/state.db, making it where there is none. Raises StoreError, OutputError.

        One that sqlite cannot read is put aside as ``state.db.damaged`` and made anew.
        """
        self._directory = directory
        self._path = os.path.join(directory, _FILES[0])
        self._journal = os.path.join(directory, _FILES[-1])
        self._lock = threading.RLock()
        self._fence: Fence | None = None
        #: Made by this very call: there was none, or it was damaged.
        self.is_new = False
        #: What sqlite said of the one that was put aside.
        self.damage: str | None = None
        with self._errors(), exclusive(directory):
            try:
                self._connection = self._open()
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                self.damage = str(error)
                self._put_aside()
                self._connection = self._open()

    def _open(self) -> sqlite3.Connection:
        # isolation_level None: transactions begin where we say, not where the module guesses. Threads take turns by
        # our lock.
        connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            local = is_local(self._directory)
            (journal,) = connection.execute("PRAGMA journal_mode").fetchone()
            log = local and (journal == "wal" or _version(connection) == 0)
            # Told, not enforced: where WAL cannot be had the old journal stays.
            try:
                (journal,) = connection.execute(f"PRAGMA journal_mode={'WAL' if log else 'PERSIST'}").fetchone()
            except sqlite3.OperationalError as error:
                if log or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                raise StoreError(
                    f"{self._path} is used by a process that believes the file system to be its own",
                    hint="end what uses the store on the file server; to use it there too, mount it there as well",
                ) from error
            connection.execute(f"PRAGMA synchronous={'NORMAL' if journal == 'wal' else 'FULL'}")
            self._prepare(connection)
            if journal != "wal":
                self._have_journal(connection)
                if loses_locks(self._directory):
                    from fswatch_builder.oci.fence import Fence

                    self._fence = Fence(self._path, self._journal)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """``exclusive`` keeps others from doing the same."""
        version = _version(connection)
        if version > VERSION:
            raise StoreError(
                f"{self._path} is of version {version}, this program reads version {VERSION}",
                hint="a newer fswatch-builder made it: use that one, or another store with --store",
            )
        if version == VERSION:
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in ((_SCHEMA if version == 0 else _FROM_1_TO_2) + _ADDED_IN_2).split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={VERSION}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        self.is_new = version == 0

    def _have_journal(self, connection: sqlite3.Connection) -> None:
        """The first transaction makes one; it was removed where the store was used with another kind before."""
        try:
            with open(self._journal, "rb") as journal:
                if os.fstat(journal.fileno()).st_size:
                    return
        except FileNotFoundError:
            pass
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"PRAGMA user_version={VERSION}")
        connection.execute("COMMIT")

    def _put_aside(self) -> None:
        os.replace(self._path, f"{self._path}.damaged")
        for name in _FILES[1:]:
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(self._directory, name))

    def renew_if_damaged(self) -> str | None:
        """Looks through all of it. One that is damaged is put aside, and made anew: what was wrong, else None."""
        with self._lock, self._errors(), exclusive(self._directory):
            try:
                answer = "; ".join(text for (text,) in self._connection.execute("PRAGMA integrity_check(5)"))
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                answer = str(error)
            if answer == "ok":
                return None
            self._close()
            self._put_aside()
            self._connection = self._open()
        return answer

    @property
    def journal(self) -> str:
        """``wal``, or ``persist`` where several machines may use the store."""
        return str(self.rows("PRAGMA journal_mode")[0][0])

    def close(self) -> None:
        """Ends the use of the database."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        self._connection.close()
        if self._fence is not None:
            self._fence.close()
            self._fence = None

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno == errno.EIO and self._fence is not None:
                raise self._lost_lock(error) from error
            raise write_error(self._path, error) from error
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            # sqlite says of a log for which there is no room that it cannot be read or written, and not why.
            if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and self._is_full()):
                raise write_error(self._path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))) from error
            if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
                raise write_error(self._path, OSError(errno.EACCES, str(error))) from error
            if code == sqlite3.SQLITE_IOERR and self._fence is not None:
                raise self._lost_lock(error) from error
            raise StoreError(
                f"{self._path}: {error}",
                hint="`fswatch-builder prune --verify` mends a damaged store; images are not lost with this file",
            ) from error

    def _lost_lock(self, error: Exception) -> StoreError:
        return StoreError(
            f"{self._path}: {error}: the file server may have been out of reach for longer than it keeps locks",
            hint="start the command again; nothing is damaged",
        )

    def _is_full(self) -> bool:
        disk = os.statvfs(self._directory)
        return disk.f_bavail * disk.f_frsize < _LOG_BYTES

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All changes inside or none of them; other writers, threads and processes, wait."""
        with self._lock:
            if self._is_in_transaction():
                yield
                return
            with ExitStack() as until_it_ends:
                with self._errors():
                    self._begin(until_it_ends)
                try:
                    yield
                    with self._errors():
                        self._connection.execute("COMMIT")
                except BaseException:
                    if self._is_in_transaction():  # a full disk may have ended it already
                        self._connection.execute("ROLLBACK")
                    raise

    def _begin(self, until_it_ends: ExitStack) -> None:
        attempts = _ATTEMPTS
        while True:
            self._connection.execute("BEGIN IMMEDIATE")
            if self._fence is None:
                return
            try:
                until_it_ends.enter_context(self._fence.raised())
            except OSError as error:
                self._connection.execute("ROLLBACK")
                attempts -= 1
                if error.errno != errno.EIO or not attempts:
                    raise
            else:
                return

    def check_lock(self) -> None:
        """In a transaction, before something is changed for good outside of the database: raises StoreError if another
        machine may be in one as well by now.
        """
        with self._errors():
            if self._fence is not None:
                self._fence.check()

    def _is_in_transaction(self) -> bool:
        return self._connection.in_transaction

    def rows(self, query: str, *values: Value) -> list[tuple[Any, ...]]:
        """The answer to a query."""
        with self._lock, self._errors():
            return self._connection.execute(query, values).fetchall()

    def change(self, statement: str, *values: Value) -> None:
        """Makes one change."""
        with self.transaction(), self._errors():
            self._connection.execute(statement, values)

    def change_all(self, statement: str, values: Sequence[Sequence[Value]]) -> None:
        """Makes one change for each of ``values``; inside of a transaction."""
        with self._lock, self._errors():
            self._connection.executemany(statement, values)


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
