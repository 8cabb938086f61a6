"""What leaves the store is what its digests promise: damage on our disk must not reach others.

The digests are reckoned beside the copying, by a thread that is a few pieces behind. So what leaves is known to be
right only once all was `settled`: until then nobody may take it for whole.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from queue import Queue
from threading import Thread
from typing import Final

from msgspec import Struct

from fswatch_builder.errors import StoreError

#: Pieces that wait for their digest. Memory holds as many, whatever the size of a blob.
_BEHIND: Final = 4


class _Promise(Struct, frozen=True):
    path: str
    digest: str


class Checker:
    """Takes the bytes of one blob after the other."""

    def __init__(self) -> None:
        self._queue: Queue[bytes | _Promise | None] = Queue(_BEHIND)
        self._damaged: str | None = None
        self._thread = Thread(target=self._work, name="check", daemon=True)
        self._thread.start()

    def add(self, piece: bytes) -> None:
        """Of the blob. Raises StoreError if one before it is known to be damaged."""
        self._tell()
        self._queue.put(piece)

    def end(self, path: str, digest: str) -> None:
        """The blob ends: it came from ``path`` and has to have this digest (hexadecimal)."""
        self._queue.put(_Promise(path, digest))

    def settled(self) -> None:
        """Returns once all blobs that ended are known to be right. Raises StoreError."""
        self.close()
        self._tell()

    def close(self) -> None:
        """Nothing more is added. May be done twice."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _tell(self) -> None:
        if self._damaged is not None:
            raise damaged(self._damaged)

    def _work(self) -> None:
        seen = sha256()
        while (piece := self._queue.get()) is not None:
            if not isinstance(piece, _Promise):
                seen.update(piece)
            else:
                if self._damaged is None and seen.hexdigest() != piece.digest:
                    self._damaged = piece.path
                seen = sha256()


@contextmanager
def checking() -> Iterator[Checker]:
    """The block settles before it lets anyone see what it wrote."""
    checker = Checker()
    try:
        yield checker
    finally:
        checker.close()


def damaged(path: str) -> StoreError:
    """Of a blob that is not what its name says."""
    return StoreError(
        f"{path} is damaged: its content has another digest",
        hint="remove it, then load or pull the base again, or build with --no-cache",
    )
