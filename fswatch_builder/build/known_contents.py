"""What earlier builds read of a build context: of files that nobody has touched since, nothing is read again.

So a COPY that is in the cache costs a stat for each file of it, and not the bytes of them all. When a stat proves that
much of a tree which others work in is told in index/CLOCK.md.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from fswatch_builder._native import KnownContents, RefusedError, Rootfs
from fswatch_builder.model.digest import Digest
from fswatch_builder.oci.blobs import is_there, write_errors
from fswatch_builder.oci.keeping.kept import Found, Kind
from fswatch_builder.oci.store import Store


@contextmanager
def known_contents(store: Store, context: Rootfs) -> Iterator[KnownContents]:
    """Of a directory. What is learned meanwhile is kept at the end, also after an error. Raises OutputError."""
    path = os.path.realpath(context.path)
    key = Digest.of(b"context " + path)
    with store.kept.use(Kind.CONTEXT, key) as found:
        known = _known(context, found)
        try:
            yield known
        finally:
            if known.learned:
                _keep(known, store, key, os.fsdecode(path))


def _known(context: Rootfs, found: Found) -> KnownContents:
    """Device numbers are of a boot, and what a power cut took away had its stat already."""
    if found.path is not None and found.of_this_boot:
        try:
            return KnownContents(context, os.fsencode(found.path))
        except RefusedError:  # of another version, or damaged
            pass
    return KnownContents(context)


def _keep(known: KnownContents, store: Store, key: Digest, label: str) -> None:
    with write_errors(store.directory), store.workspace() as draft:
        saved = os.path.join(draft, "contents")
        known.save(os.fsencode(saved))
        with store.kept.turn(Kind.CONTEXT, key):
            if is_there(store.kept.path(Kind.CONTEXT, key)):
                store.kept.discard(Kind.CONTEXT, key)
            store.kept.publish(Kind.CONTEXT, key, saved, label=label)
