"""Taking a name from an image, and freeing what nothing needs any more when it was the last."""

from collections.abc import Collection, Iterable, Sequence

from msgspec import Struct

from fswatch_builder.errors import StoreError
from fswatch_builder.model.digest import Digest
from fswatch_builder.oci.keeping.contents import blobs_of, needed
from fswatch_builder.oci.keeping.kept import Kind
from fswatch_builder.oci.names import Entry
from fswatch_builder.oci.store import Store


class Untagged(Struct, frozen=True):
    """``gone``: manifests that have no name left; ``freed``: their blobs that went; ``kept``: those that stay, for the
    results of steps or a running build, until a prune.
    """

    gone: tuple[Digest, ...]
    freed: tuple[Digest, ...]
    kept: tuple[Digest, ...]


def untag(store: Store, entries: Sequence[Entry], manifests: Collection[Digest]) -> Untagged:
    """Removes these names, and those of ``manifests`` without a name then. Raises StoreError, OutputError."""
    with store.workspace() as grave, store.state.transaction():
        left = [entry for entry in store.names.entries() if entry not in entries]
        gone = set(manifests) - {entry.digest for entry in left}
        lost = _needed_no_more(store, gone, left)
        store.names.write(left)  # before anything goes that it speaks of
        cached = {
            Digest(text)
            for (text,) in store.state.rows("SELECT digest FROM layers WHERE diff_id IN (SELECT diff_id FROM steps)")
        }
        freed = store.kept.bury(Kind.BLOB, sorted(lost - cached), grave)
    return Untagged(tuple(sorted(gone)), tuple(freed), tuple(sorted(lost - set(freed))))


def _needed_no_more(store: Store, gone: Iterable[Digest], left: Sequence[Entry]) -> frozenset[Digest]:
    try:
        return frozenset[Digest]().union(*(blobs_of(store, digest) for digest in gone)) - needed(store, left)
    except StoreError:
        # Some image is damaged, perhaps the one that goes: names can be taken from it all the same, and what its blobs
        # were is for a prune to find out.
        return frozenset()
