"""What earlier builds read of a build context: of files that nobody has touched since, nothing is read again.

So a COPY that is in the cache costs a stat for each file of it, and not the bytes of them all. When a stat proves that
much of a tree which others work in is told in index/CLOCK.md.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from fswatch_builder._native import KnownContents, RefusedError, Rootfs
from fswatch_builder.build.meter import SILENT, Listener
from fswatch_builder.errors import OutputError
from fswatch_builder.model.digest import Digest
from fswatch_builder.oci.blobs import write_errors
from fswatch_builder.oci.keeping.kept import Kind
from fswatch_builder.oci.store import Store

#: Kept. Who builds in directories made for the purpose never builds in one of them again.
_MOST_CONTEXTS: Final = 100


@contextmanager
def known_contents(store: Store, context: Rootfs, tell: Listener = SILENT) -> Iterator[KnownContents]:
    """Of a directory. What is learned meanwhile is kept at the end, also after an error. Raises OutputError.

    Where it cannot be kept, for want of space perhaps, ``tell`` hears of it: the build is done all the same.
    """
    path = os.path.realpath(context.path)
    key = Digest.of(b"context " + path)
    with store.kept.use(Kind.CONTEXT, key) as found:
        known = _known(context, found.path)
        try:
            yield known
        finally:
            if known.learned:
                try:
                    _keep(known, store, key, os.fsdecode(path))
                except OutputError as error:
                    tell.note(f"the next build will read all of {os.fsdecode(path)}: {error.what}")


def _known(context: Rootfs, saved: str | None) -> KnownContents:
    if saved is not None:
        try:
            return KnownContents(context, os.fsencode(saved))
        except RefusedError:  # of another version, or damaged
            pass
        except OSError as error:
            if error.errno != errno.ESTALE:  # replaced by another machine
                raise
    return KnownContents(context)


def _keep(known: KnownContents, store: Store, key: Digest, label: str) -> None:
    """Of two builds at once that of the later one is kept."""
    with write_errors(store.directory), store.workspace() as draft:
        saved = os.path.join(draft, "contents")
        known.save(os.fsencode(saved))
        store.kept.replace(Kind.CONTEXT, key, saved, label=label)
    store.kept.keep_last(Kind.CONTEXT, _MOST_CONTEXTS)
