"""What an image consists of, and what of it nothing else needs."""

from collections.abc import Iterable
from typing import Final

from fswatch_builder.errors import BaseImageError, StoreError
from fswatch_builder.model.digest import Digest
from fswatch_builder.oci.blobs import is_there
from fswatch_builder.oci.index import references
from fswatch_builder.oci.names import Entry
from fswatch_builder.oci.store import Store

_MAX_DEPTH: Final = 4  # of indexes in indexes


def blobs_of(store: Store, manifest: Digest, depth: int = _MAX_DEPTH) -> frozenset[Digest]:
    """All blobs of an image: manifest, configuration, layers; of an index, what is here of all that is in it.

    Raises StoreError where that cannot be read, for then nobody knows what is needed.
    """
    what = f"image {manifest}"
    try:
        found = references(store.read(manifest), what)
    except BaseImageError as error:
        raise StoreError(
            f"{what} is damaged: {error.what}", hint="`fswatch-builder prune --verify` mends it"
        ) from error
    parts = [part.digest for part in found.manifests] if depth else []
    here = [part for part in parts if is_there(store.blob_path(part))]
    own = frozenset((manifest, *(blob.digest for blob in found.blobs)))
    return own.union(*(blobs_of(store, part, depth - 1) for part in here))


def needed(store: Store, entries: Iterable[Entry]) -> frozenset[Digest]:
    """The blobs of all these images. Raises StoreError."""
    return frozenset[Digest]().union(*(blobs_of(store, digest) for digest in {entry.digest for entry in entries}))
