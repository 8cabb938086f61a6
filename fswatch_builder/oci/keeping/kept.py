"""The registry of kept things, blobs and others: one way to use, publish, find and remove them all.

    DIR/blobs/sha256/HEX     Kind.BLOB
    DIR/kept/KIND/HEX        every other kind: a directory, or a file
    DIR/kept/KIND/gone-HEX   discarded while somebody used it
    DIR/kept/KIND/HEX.lock   somebody has a turn

A thing is known by its kind and a digest: of a blob's content; for the other kinds of whatever tells one from another.
That a thing exists is said by the file system alone. The database adds when it was last used, by whom it is used now,
in which boot it was last known to be whole, and a label for people; should it get lost, things are still there.

    with store.kept.use(Kind.TREE, key) as found:          # leased: nobody removes it before the block ends
        path = found.path
        if path is None:                                   # nobody has published it yet
            with store.workspace() as draft:               # same file system; swept if this process dies
                ...                                        # fill draft/tree
                path = store.kept.publish(Kind.TREE, key, f"{draft}/tree", label="alpine:3")
        ...                                                # path stays where it is
"""

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct

from fswatch_builder.errors import StoreError
from fswatch_builder.model.digest import Digest
from fswatch_builder.oci.blobs import Blobs, is_there, sync_directory, write_error, write_errors
from fswatch_builder.oci.boot import boot_id
from fswatch_builder.oci.filesystem import ask, is_removed, mounts_below
from fswatch_builder.oci.keeping.sessions import Session
from fswatch_builder.oci.keeping.turns import is_turn, turn
from fswatch_builder.oci.state import State
from fswatch_builder.oci.workspace import workspace

DIRECTORY: Final = "kept"
DISCARDED: Final = "gone-"
_NAME: Final = re.compile("[0-9a-f]{64}")


class Kind(StrEnum):
    """What kinds of things a store keeps. A new kind is a line here, and a word in docs/cli.md under prune."""

    BLOB = "blob"
    #: A base, unpacked. Made from blobs, never changed, can be made again.
    TREE = "tree"
    #: The same of a base and results of steps on top of it.
    STATE = "state"
    #: A directory of RUN --mount=type=cache. Changes with each use.
    MOUNT = "mount"
    #: What is recorded of a directory that was read in as a base: a file. Without it the directory is read again.
    BASELINE = "baseline"
    #: What was read of a directory that was used as a build context: a file. Without it all of it is read again.
    CONTEXT = "context"


class Found(Struct, frozen=True):
    """What ``use`` found. ``path`` is None if there is no such thing.

    Directories are not synced to the disk when they are published: a power cut can leave files whose metadata is there
    and whose bytes are not. ``of_this_boot``: it was published, or believed, in the boot that lasts, so that none can
    have come between. Without that, a thing that must be whole has to be read before it is used (``believe``).
    """

    path: str | None
    of_this_boot: bool


class Thing(Struct, frozen=True):
    """A kept thing. ``used``: when it was last used; of one that is in use (leased by a session that lives): now.
    ``of_this_boot``: as ``Found`` has it.
    """

    kind: Kind
    key: Digest
    path: str
    label: str
    used: datetime
    in_use: bool
    of_this_boot: bool


class KeptThings:
    """All kept things of one store. Any thread may use it."""

    def __init__(self, directory: str, state: State, session: Session, blobs: Blobs) -> None:
        """``directory`` is the store's."""
        self._directory = directory
        self._work = os.path.join(directory, "work")
        self._state = state
        self._session = session
        self._blobs = blobs

    @contextmanager
    def use(self, kind: Kind, key: Digest) -> Iterator[Found]:
        """What there is. Until the block ends nobody removes it, nor what ``publish`` puts there meanwhile; a dead
        process uses nothing. May be nested, and used by several threads.
        """
        self._session.lease(kind, [key.text])
        try:
            path = self.path(kind, key)
            rows = self._state.rows("SELECT boot FROM kept WHERE kind = ? AND key = ?", kind, key.text)
            yield Found(path if is_there(path) else None, rows == [(boot_id(),)])
        finally:
            self._session.release(kind, key.text)

    def publish(self, kind: Kind, key: Digest, directory: str, label: str = "") -> str:
        """Moves ``directory``, of a workspace of this store, to where ``use`` finds it: its path there. Whole, at once.
        It may be a file.

        If somebody else was faster, theirs stays and is the one; ``directory`` is left to its workspace. Call it inside
        ``use`` of the same key, else another process may remove it at once. Raises OutputError.
        """
        if kind is Kind.BLOB:
            raise ValueError("blobs are written with Store.new_blob")
        path = self.path(kind, key)
        with write_errors(self._directory):
            self._make_home(kind)
            with self._state.transaction():
                if not is_there(path):
                    self._put(kind, key, directory, label)
        return path

    def replace(self, kind: Kind, key: Digest, file: str, label: str = "") -> None:
        """As ``publish``, also over what is there: for a kind of files that whoever uses one reads at once, as a whole.

        Raises OutputError.
        """
        with write_errors(self._directory):
            self._make_home(kind)
            with self._state.transaction():
                self._put(kind, key, file, label)

    def _put(self, kind: Kind, key: Digest, draft: str, label: str) -> None:
        path = self.path(kind, key)
        self._state.change("INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?)", kind, key.text, label, boot_id())
        os.rename(draft, path)
        sync_directory(os.path.dirname(path))

    def believe(self, kind: Kind, key: Digest) -> None:
        """All of it was read and is as it should be: from now on it is ``of_this_boot``."""
        with self._state.transaction():
            self._state.change("INSERT OR IGNORE INTO kept VALUES (?, ?, '', '')", kind, key.text)
            self._state.change("UPDATE kept SET boot = ? WHERE kind = ? AND key = ?", boot_id(), kind, key.text)

    def discard(self, kind: Kind, key: Digest) -> None:
        """Nobody finds it any more, and another can be published. Those who use it keep what they have opened: its
        files go when their sessions have ended.
        """
        gone = Digest.of(os.urandom(32))
        with write_errors(self._directory), self._state.transaction():
            self._state.change(
                "INSERT INTO leases SELECT session, kind, ? FROM leases WHERE kind = ? AND key = ?",
                gone.text, kind, key.text,
            )  # fmt: skip
            self._forget(kind, key)
            path = self.path(kind, key)
            os.rename(path, os.path.join(os.path.dirname(path), DISCARDED + gone.hex))

    @contextmanager
    def turn(self, kind: Kind, key: Digest, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """One at a time, on all machines: for what must not be made twice, or used by two. Who has to wait calls
        ``waiting`` first. Neither a lease nor needed for one.
        """
        with write_errors(self._directory):
            self._make_home(kind)
        with turn(f"{self.path(kind, key)}.lock", waiting):
            yield

    def find(self, kind: Kind, key: Digest) -> Thing | None:
        """What is known of one thing, without using it."""
        return next(iter(self._things(kind, [key])), None)

    def things(self, kind: Kind) -> list[Thing]:
        """All things of a kind, the longest unused first, and last those in use (of one second there may be others)."""
        keys = [Digest(f"sha256:{name}") for name in self._names(kind) if _NAME.fullmatch(name)]
        return sorted(self._things(kind, keys), key=lambda thing: (thing.in_use, thing.used, thing.key))

    def remove(self, kind: Kind, key: Digest) -> bool:
        """Removes a thing; False if it is in use, and stays. One that is not there counts as removed.

        Raises OutputError, and StoreError if something is mounted below it.
        """
        with workspace(self._work) as grave:
            return self.bury(kind, [key], grave) == [key]

    def keep_last(self, kind: Kind, most: int) -> None:
        """Removes the longest unused things of a kind, so that ``most``, at least 1, stay. Raises as ``remove``."""
        for thing in self.things(kind)[:-most]:
            self.remove(kind, thing.key)

    def bury(self, kind: Kind, keys: Sequence[Digest], grave: str) -> list[Digest]:
        """Moves those of ``keys`` that are not in use to the workspace ``grave``: which these are. They vanish at once;
        what takes time, the removal of their files, comes after the transaction, for which others wait.

        None goes while a build runs of which is not known what it uses (``Session.strangers``).
        """
        with self._state.transaction():
            if self._session.strangers():
                return []
            leased = self._session.leased(kind)
            free = [key for key in keys if key.text not in leased]
            if kind is not Kind.BLOB:
                for key in free:
                    _check_nothing_is_mounted(self.path(kind, key))
            for key in free:
                self._move(self.path(kind, key), os.path.join(grave, f"{kind}-{key.hex}"))
                self._forget(kind, key)
        return free

    def bury_discarded(self, grave: str) -> list[str]:
        """Moves what was discarded, and is not in use any more, to the workspace ``grave``: the paths it had."""
        with self._state.transaction():
            if self._session.strangers():
                return []
            gone = []
            for kind in Kind:
                leased = self._session.leased(kind)
                gone += [
                    os.path.join(self.home(kind), name)
                    for name in self._names(kind)
                    if name.startswith(DISCARDED) and f"sha256:{name.removeprefix(DISCARDED)}" not in leased
                ]
            for number, path in enumerate(gone):
                self._move(path, os.path.join(grave, f"gone-{number}"))
        return gone

    def bury_strays(self, grave: str) -> list[str]:
        """As ``bury_discarded``; also what is nobody's: files that are no things, locks that nobody holds."""
        with self._state.transaction():
            gone = self.bury_discarded(grave)
            strays = [
                os.path.join(self.home(kind), name)
                for kind in Kind
                for name in self._names(kind)
                if not _NAME.fullmatch(name)
                and not name.startswith(DISCARDED)
                and not is_removed(name)
                and not is_turn(os.path.join(self.home(kind), name))
            ]
            for number, path in enumerate(strays):
                self._move(path, os.path.join(grave, f"stray-{number}"))
        return gone + strays

    def path(self, kind: Kind, key: Digest) -> str:
        """Where a thing is, or would be."""
        return os.path.join(self.home(kind), key.hex)

    def home(self, kind: Kind) -> str:
        """The directory of all things of a kind, which may not be there yet."""
        return self._blobs.home if kind is Kind.BLOB else os.path.join(self._directory, DIRECTORY, kind)

    def _make_home(self, kind: Kind) -> None:
        """Nobody else may put anything there, or beside it, whatever the umask (os.makedirs gives parents no mode)."""
        home = self.home(kind)
        for directory in (os.path.dirname(home), home):
            os.makedirs(directory, mode=0o700, exist_ok=True)

    def _names(self, kind: Kind) -> list[str]:
        try:
            return os.listdir(self.home(kind))
        except FileNotFoundError:
            return []

    def _things(self, kind: Kind, keys: list[Digest]) -> Iterator[Thing]:
        with self._state.transaction():
            leased = self._session.leased(kind)
            uses = dict(self._state.rows("SELECT key, used FROM uses WHERE kind = ?", kind))
            known = {
                row[0]: row[1:] for row in self._state.rows("SELECT key, label, boot FROM kept WHERE kind = ?", kind)
            }
        now = int(time.time())
        with suppress(FileNotFoundError):
            ask(self.home(kind))
        for key in keys:
            path = self.path(kind, key)
            try:
                made = int(os.stat(path).st_mtime)
            except FileNotFoundError:
                continue
            in_use = key.text in leased
            used = now if in_use else uses.get(key.text, made)
            label, boot = known.get(key.text, ("", ""))
            yield Thing(kind, key, path, label, datetime.fromtimestamp(used, UTC), in_use, boot == boot_id())

    def _forget(self, kind: Kind, key: Digest) -> None:
        self._state.change("DELETE FROM kept WHERE kind = ? AND key = ?", kind, key.text)
        self._state.change("DELETE FROM uses WHERE kind = ? AND key = ?", kind, key.text)
        if kind is Kind.BLOB:
            self._state.change("DELETE FROM layers WHERE digest = ?", key.text)

    def _move(self, path: str, grave: str) -> None:
        try:
            os.rename(path, grave)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise write_error(path, error) from error


def _check_nothing_is_mounted(path: str) -> None:
    """Else what goes might be of somewhere else."""
    for point in mounts_below(path):
        raise StoreError(
            f"{path} cannot be removed: something is mounted on {point}",
            hint=f"umount {point}, or `fswatch-builder prune --verify`",
        )
