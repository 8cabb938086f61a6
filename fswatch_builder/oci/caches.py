"""The directories of cache mounts: kept things of the store that change with each use (keeping/kept.py).

A shared or locked one has the key of its cache, private ones have keys derived from it: each is used by one RUN at a
time, and found again later. A build without the cache discards what there is: who uses it still has it to the end.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from threading import Lock

from msgspec import Struct

from fswatch_builder._native import Rootfs
from fswatch_builder.model.digest import Digest
from fswatch_builder.model.mount import Sharing
from fswatch_builder.oci.keeping.kept import Kind
from fswatch_builder.oci.store import Store


class CacheUse(Struct, frozen=True):
    """Which cache is wanted, and how; ``label`` is what people are told of it."""

    key: Digest
    sharing: Sharing
    label: str


class Caches:
    """The cache directories of a store, as one build uses them."""

    def __init__(self, store: Store) -> None:
        """Nothing is made yet."""
        self._store = store
        self._renewed: set[Digest] = set()
        self._renewing = Lock()

    @contextmanager
    def use(
        self, wanted: CacheUse, fill: Callable[[str], object], *, waiting: Callable[[], None], renew: bool
    ) -> Iterator[Rootfs]:
        """The directory, nobody's to remove as long as the context lasts.

        ``fill`` makes a new one, an empty directory, what it has to be at the start. ``waiting`` is called if another
        has to end first. ``renew``: it starts anew, once in the life of this object.
        """
        with ExitStack() as stack:
            key = wanted.key
            if wanted.sharing == "locked":
                stack.enter_context(self._store.kept.turn(Kind.MOUNT, key, waiting))
            elif wanted.sharing == "private":
                key = self._free(key, stack)
            with self._renewing:
                if renew and key not in self._renewed:
                    self._discard(key)
                self._renewed.add(key)
            stack.enter_context(self._store.kept.use(Kind.MOUNT, key))
            yield self._open(key, wanted, fill)

    def _free(self, key: Digest, stack: ExitStack) -> Digest:
        """The first private directory that nobody uses; from now on we do."""
        number = 0
        while True:
            number += 1
            derived = Digest.from_raw(sha256(b"%s private %d" % (key.raw, number)).digest())
            try:
                stack.enter_context(self._store.kept.turn(Kind.MOUNT, derived, _give_way))
            except _TakenError:
                continue
            return derived

    def _discard(self, key: Digest) -> None:
        if self._store.kept.find(Kind.MOUNT, key) is not None:
            self._store.kept.discard(Kind.MOUNT, key)

    def _open(self, key: Digest, wanted: CacheUse, fill: Callable[[str], object]) -> Rootfs:
        """Open, it stays the same whatever becomes of its path: another build may discard it at any moment."""
        while True:
            try:
                return Rootfs(os.fsencode(self._store.kept.path(Kind.MOUNT, key)))
            except FileNotFoundError:
                self._make(key, wanted, fill)

    def _make(self, key: Digest, wanted: CacheUse, fill: Callable[[str], object]) -> None:
        with self._store.workspace() as draft:
            directory = os.path.join(draft, "cache")
            os.mkdir(directory, 0o700)
            fill(directory)
            self._store.kept.publish(Kind.MOUNT, key, directory, wanted.label)


class _TakenError(Exception):
    """Another has the turn."""


def _give_way() -> None:
    raise _TakenError
