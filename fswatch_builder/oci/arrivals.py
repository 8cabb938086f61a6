"""Blobs that are on their way into a store, for who reads them before they are there.

What is read so is not verified: nobody may believe it, or show it to others, before the import has had its say. A blob
that is begun anew, after a connection that broke, has the same bytes again if it is the blob it should be. So who
follows it goes on where it was; if the first bytes were others, what comes of them is not the layer.
"""

import os
from collections.abc import Iterator, Sequence
from threading import Condition
from typing import Final, Protocol

from msgspec import Struct

from fswatch_builder.model.digest import Digest
from fswatch_builder.model.image import Layer

_PIECE: Final = 256 << 10


class Watcher(Protocol):
    """Who wants to know what an import is about to bring."""

    def coming(self, layers: Sequence[Layer]) -> None:
        """All layers of one image, from the bottom, before those that the store lacks are taken in. Does not wait."""


class _Draft(Struct, frozen=True):
    descriptor: int
    size: int  # bytes that are written


class Arrivals:
    """Those of one store, in this process. Any thread may use it."""

    def __init__(self) -> None:
        """None that is known of."""
        self.changed = Condition()
        self._drafts: dict[Digest, _Draft] = {}

    def grown(self, digest: Digest, descriptor: int, size: int) -> None:
        """A file has so many bytes of the blob that shall have this digest. It stays open until `over`."""
        with self.changed:
            self._drafts[digest] = _Draft(descriptor, size)
            self.changed.notify_all()

    def over(self, digest: Digest, descriptor: int) -> None:
        """The blob is where the store has it, or given up. Now the file may be closed."""
        with self.changed:
            draft = self._drafts.get(digest)
            if draft is not None and draft.descriptor == descriptor:  # else another is written meanwhile
                del self._drafts[digest]
            self.changed.notify_all()

    def draft(self, digest: Digest) -> _Draft | None:
        """What there is of a blob, as long as ``changed`` is held."""
        return self._drafts.get(digest)


class Arriving:
    """The bytes of one blob in their order, which the store has or will have."""

    def __init__(self, arrivals: Arrivals, digest: Digest, path: str, size: int) -> None:
        """``path``: where it is, or will be once it is verified. ``size``: bytes it is said to have."""
        self.size = size
        self._arrivals = arrivals
        self._digest = digest
        self._path = path
        self._more_may_come = True
        self._ended = False

    def __iter__(self) -> Iterator[bytes]:
        """Each piece as soon as it is there. Ends early if told to, or where the blob does not come. Raises OSError."""
        at = 0
        while piece := self._next_of_draft(at):
            yield piece
            at += len(piece)
        if self._ended:
            return
        try:
            file = open(self._path, "rb", buffering=0)  # noqa: SIM115 - closed below
        except FileNotFoundError:
            return
        with file:
            file.seek(at)
            while not self._ended and (piece := file.read(_PIECE)):
                yield piece

    def _next_of_draft(self, at: int) -> bytes:
        """Waits for it. Empty: the rest, if it came, is in the store."""
        with self._arrivals.changed:
            while not self._ended:
                draft = self._arrivals.draft(self._digest)
                if not self._more_may_come or (draft is None and _exists(self._path)):
                    break
                if draft is not None and draft.size > at:
                    return os.pread(draft.descriptor, min(_PIECE, draft.size - at), at)
                self._arrivals.changed.wait()
        return b""

    def all_came(self) -> None:
        """The import is over: what is not in the store is not waited for."""
        with self._arrivals.changed:
            self._more_may_come = False
            self._arrivals.changed.notify_all()

    def end(self) -> None:
        """No more of it is wanted."""
        with self._arrivals.changed:
            self._ended = True
            self._arrivals.changed.notify_all()


def _exists(path: str) -> bool:
    try:
        os.stat(path)
    except FileNotFoundError:
        return False
    return True
