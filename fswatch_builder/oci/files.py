"""The files of an image, read from its layers: nothing is unpacked."""

import os
from collections.abc import Sequence

from fswatch_builder._native import ArchiveError, Entry, LayerStack, RefusedError, copy_member
from fswatch_builder.errors import BaseImageError
from fswatch_builder.model.image import Layer
from fswatch_builder.oci.compression import decompressed
from fswatch_builder.oci.decoding import CompressionError
from fswatch_builder.oci.store import Store


def add_layers(stack: LayerStack, store: Store, layers: Sequence[Layer]) -> None:
    """Lays layers on a stack, each read once and checked against its diffID. Raises BaseImageError, StoreError."""
    for layer in layers:
        blob = layer.descriptor
        place = f"layer {layer.diff_id} (blob {blob.digest})"
        store.size(blob.digest)  # a missing blob is told as what it is
        try:
            # Nothing is unpacked: what costs memory is the number of files.
            with decompressed(store.blob_path(blob.digest), blob=blob) as descriptor:
                added = stack.add(descriptor, max_entries=store.limits.entries)
        except (ArchiveError, RefusedError, CompressionError) as error:
            raise BaseImageError(f"{place} cannot be read: {error}") from error
        except OSError as error:
            raise BaseImageError(f"{place} cannot be read: {error.strerror or error}") from error
        if added.diff_id != layer.diff_id.raw:
            raise BaseImageError(
                f"{place} is damaged: its tar has digest sha256:{added.diff_id.hex()}",
                hint="remove the image and fetch it again",
            )


class ImageFiles:
    """What a container of an image would see. Memory grows with the number of files, not with their sizes."""

    def __init__(self, store: Store, layers: Sequence[Layer]) -> None:
        """Reads every layer once. Raises BaseImageError, StoreError."""
        self._store = store
        self._layers = tuple(layers)
        self._stack = LayerStack(digests=False)
        add_layers(self._stack, store, layers)

    def resolve(self, path: str) -> bytes:
        """Where a path leads, links followed and clamped at the root: relative to it. Raises BaseImageError."""
        try:
            return self._stack.resolve(os.fsencode(path))
        except (OSError, RefusedError) as error:
            reason = error.strerror if isinstance(error, OSError) else error.reason
            raise BaseImageError(f"{path}: {reason}") from error

    def entry(self, path: bytes) -> Entry | None:
        """The entry at an exact path."""
        return self._stack.entry(path)

    def names(self, directory: bytes) -> list[bytes]:
        """What is in a directory, sorted."""
        return self._stack.names(directory)

    def copy(self, path: bytes, descriptor: int) -> None:
        """Writes the content of the file at an exact path. Raises BaseImageError; OSError of writing."""
        source = self._stack.source(path)
        if source is None:
            raise ValueError(f"no file at {path!r}")
        layer, offset = source
        try:
            with decompressed(self._store.blob_path(self._layers[layer].descriptor.digest)) as plain:
                copy_member(plain, offset, descriptor)
        except (ArchiveError, RefusedError, CompressionError) as error:
            raise BaseImageError(f"layer {self._layers[layer].diff_id} cannot be read: {error}") from error
