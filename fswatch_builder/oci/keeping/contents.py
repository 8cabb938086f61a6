"""What an image consists of, and what of it nothing else needs."""

from collections.abc import Iterable
from typing import Final

from fswatch_builder.errors import BaseImageError, StoreError
from fswatch_builder.model.digest import Digest
from fswatch_builder.oci import documents
from fswatch_builder.oci.blobs import is_there
from fswatch_builder.oci.names import Entry
from fswatch_builder.oci.store import Store

_MAX_DEPTH: Final = 4  # of indexes in indexes


def blobs_of(store: Store, manifest: Digest, depth: int = _MAX_DEPTH) -> frozenset[Digest]:
    """All blobs of an image: manifest, configuration, layers; of an index, what is here of its images.

    Raises StoreError where that cannot be read, for then nobody knows what is needed.
    """
    what = f"image {manifest}"
    try:
        read = documents.read_manifest(store.read(manifest), "", what)
    except BaseImageError as error:
        raise StoreError(
            f"{what} is damaged: {error.what}", hint="`fswatch-builder prune --verify` mends it"
        ) from error
    if not isinstance(read, documents.Index):
        return frozenset((manifest, read.config.digest, *(layer.digest for layer in read.layers)))
    parts = [choice.descriptor.digest for choice in read.manifests] if depth else []
    here = [part for part in parts if is_there(store.blob_path(part))]
    return frozenset((manifest,)).union(*(blobs_of(store, part, depth - 1) for part in here))


def needed(store: Store, entries: Iterable[Entry]) -> frozenset[Digest]:
    """The blobs of all these images. Raises StoreError."""
    return frozenset[Digest]().union(*(blobs_of(store, digest) for digest in {entry.digest for entry in entries}))
