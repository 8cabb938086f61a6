"""The database beside the blobs: names, layers by diffID, results of steps, notes."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from fswatch_builder.errors import OutputError, StoreError

_SCHEMA_VERSION: Final = 1
_BUSY_SECONDS: Final = 60
_SCHEMA: Final = """
CREATE TABLE names (
    name TEXT NOT NULL, platform TEXT NOT NULL,
    media_type TEXT NOT NULL, manifest TEXT NOT NULL, manifest_size INTEGER NOT NULL,
    image_size INTEGER NOT NULL, created TEXT,
    PRIMARY KEY (name, platform)
) WITHOUT ROWID;
CREATE TABLE layers (
    diff_id TEXT NOT NULL, compression TEXT NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL,
    PRIMARY KEY (diff_id, compression)
) WITHOUT ROWID;
CREATE TABLE steps (key TEXT NOT NULL PRIMARY KEY, diff_id TEXT) WITHOUT ROWID;
CREATE TABLE notes (kind TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;
"""

Value = str | bytes | int | None


@contextmanager
def _one_at_a_time(directory: str) -> Iterator[None]:
    """Connections are opened in turn: the switch to a write-ahead log needs the database for itself and, unlike
    everything after it, fails at once with "database is locked" instead of waiting for another connection.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class State:
    """One connection. Several processes may have one each; used by the thread that opened it."""

    def __init__(self, directory: str) -> None:
        """Opens ``directory``/state.db, making it where there is none. Raises StoreError."""
        self._path = os.path.join(directory, "state.db")
        with self._errors(), _one_at_a_time(directory):
            # isolation_level None: transactions begin where we say, not where the module guesses.
            self._connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
            try:
                # Refused quietly where the file system has no shared memory; the old journal does as well there.
                self._connection.execute("PRAGMA journal_mode=WAL")
                self._connection.execute("PRAGMA synchronous=NORMAL")
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self) -> None:
        if self._version() == 0:
            with self.transaction():
                if self._version() == 0:  # nobody was faster
                    for statement in _SCHEMA.split(";"):
                        self._connection.execute(statement)
                    self._connection.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")
        if self._version() != _SCHEMA_VERSION:
            raise StoreError(
                f"{self._path} is of version {self._version()}, this program reads version {_SCHEMA_VERSION}",
                hint="use another store with --store, or remove this one",
            )

    def _version(self) -> int:
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    def close(self) -> None:
        """Ends the use of the database."""
        self._connection.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                raise OutputError(f"cannot write to {self._path}: {error}", hint="free some space") from error
            raise StoreError(
                f"{self._path}: {error}",
                hint="if it stays, remove that file: images by name and the step cache are lost with it",
            ) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All changes inside or none of them; other writers wait."""
        if self._connection.in_transaction:
            yield
            return
        with self._errors():
            self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        with self._errors():
            self._connection.execute("COMMIT")

    def rows(self, query: str, *values: Value) -> list[tuple[Any, ...]]:
        """The answer to a query."""
        with self._errors():
            return self._connection.execute(query, values).fetchall()

    def change(self, statement: str, *values: Value) -> None:
        """Makes one change."""
        with self._errors():
            self._connection.execute(statement, values)
