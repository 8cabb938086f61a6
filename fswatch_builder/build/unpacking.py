"""Layers of the store onto a root file system, every entry recorded in its baseline."""

import os
from collections.abc import Sequence

from fswatch_builder import stopping
from fswatch_builder._native import ArchiveError, Baseline, RefusedError, Rootfs, unpack_layer
from fswatch_builder.build.failures import system_errors
from fswatch_builder.build.meter import Listener, Meter
from fswatch_builder.errors import BaseImageError
from fswatch_builder.model.image import Layer
from fswatch_builder.oci.compression import decompressed
from fswatch_builder.oci.decoding import CompressionError
from fswatch_builder.oci.limits import NO_LIMITS
from fswatch_builder.oci.store import Store


def new_rootfs(path: str) -> tuple[Rootfs, Baseline]:
    """An empty one, for layers to come."""
    os.mkdir(path, 0o755)
    os.chmod(path, 0o755)  # mkdir's mode is cut by the umask  # noqa: S103
    rootfs = Rootfs(os.fsencode(path))
    return rootfs, Baseline.empty(rootfs)


def unpack_all(layers: Sequence[Layer], store: Store, rootfs: Rootfs, baseline: Baseline, tell: Listener) -> None:
    """Puts ``layers`` on top of what is there, in their order.

    Raises BaseImageError, StoreError, and as what ``system_errors`` tells what the system refuses.
    """
    total = sum(layer.descriptor.size for layer in layers)
    with Meter(tell, "unpacking", total) as meter:
        for layer in layers:
            unpack(layer, store, rootfs, baseline, meter)


def unpack(layer: Layer, store: Store, rootfs: Rootfs, baseline: Baseline, meter: Meter) -> int:
    """One of them. Bytes of its tar."""
    stopping.check()
    blob = layer.descriptor
    place = f"layer {layer.diff_id} (blob {blob.digest})"
    limits = NO_LIMITS if store.memory.made(layer.diff_id) else store.limits
    most = limits.bytes_from(store.size(blob.digest))  # a missing blob is told as what it is
    try:
        with (
            system_errors(),
            open(store.blob_path(blob.digest), "rb", buffering=0) as file,
            meter.reading(file.fileno(), blob.size),
            decompressed(file.fileno(), max_bytes=most, blob=blob) as descriptor,
        ):
            unpacked = unpack_layer(rootfs, baseline, descriptor, max_bytes=most, max_entries=limits.entries)
    except (ArchiveError, RefusedError, CompressionError) as error:
        raise BaseImageError(f"{place} cannot be unpacked: {error}") from error
    if unpacked.diff_id != layer.diff_id.raw:
        raise BaseImageError(
            f"{place} is damaged: its tar has digest sha256:{unpacked.diff_id.hex()}",
            hint="remove the image and fetch it again",
        )
    return unpacked.size
