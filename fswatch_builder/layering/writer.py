"""From changes to a layer: tar, diffID, compression and digest in one pass, then the layer is known to the store."""

from msgspec import Struct

from fswatch_builder._native import Baseline, ChangeSet, Rootfs, pack_layer
from fswatch_builder.model.digest import DiffID
from fswatch_builder.model.image import Descriptor, Layer
from fswatch_builder.oci.compression import Compression
from fswatch_builder.oci.packing import Recipe, compressing
from fswatch_builder.oci.store import Store


class WrittenLayer(Struct, frozen=True):
    """A layer and its tar: ``entries`` members, ``size`` bytes."""

    layer: Layer
    entries: int
    size: int


def write_layer(
    rootfs: Rootfs,
    baseline: Baseline,
    changes: ChangeSet,
    store: Store,
    compression: Compression,
    max_mtime: int | None = None,
) -> WrittenLayer:
    """``baseline`` is the one before ``changes``; no time in the tar is later than ``max_mtime`` (seconds).

    A tar that the store has already, under the same compression, is not kept twice: its first blob stands for it.
    """
    with compressing(store, Recipe(compression)) as sink:
        packed = pack_layer(rootfs, baseline, changes, sink.fd, max_mtime=max_mtime)
        digest, size = sink.finish()
    diff_id = DiffID.from_raw(packed.diff_id)
    layer = store.memory.layer(diff_id, compression)
    if layer is None:
        layer = Layer(Descriptor(compression.layer_media_type, digest, size), diff_id)
        store.memory.record_layer(layer)
    return WrittenLayer(layer, packed.entries, packed.size)
