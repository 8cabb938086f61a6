"""The same layer in another compression: its tar, and so its diffID and the image ID, stay what they are."""

from hashlib import sha256
from typing import Final

from fswatch_builder.errors import StoreError
from fswatch_builder.model.digest import Digest
from fswatch_builder.model.image import Descriptor, Layer
from fswatch_builder.oci.compression import decompressed
from fswatch_builder.oci.decoding import CompressionError
from fswatch_builder.oci.packing import Recipe, compressor, pieces
from fswatch_builder.oci.store import Store

#: The store knows one blob of a layer for each compression, that of the default level. Others are noted under this.
_NOTE: Final = "repacked"


def repacked(store: Store, layer: Layer, recipe: Recipe) -> Layer:
    """The layer in a blob made by ``recipe``, which the store has afterwards. Raises StoreError if it is damaged.

    Without a level, a blob of that compression will do, whoever made it.
    """
    found = known(store, layer, recipe)
    if found is not None:
        return found
    digest, size = _repack(store, layer, recipe)
    made = Layer(Descriptor(recipe.compression.layer_media_type, digest, size), layer.diff_id)
    if recipe.level is None:
        store.memory.record_layer(made)
    else:
        store.memory.note(_NOTE, _key(layer, recipe), f"{digest} {size}".encode())
    return made


def known(store: Store, layer: Layer, recipe: Recipe) -> Layer | None:
    """The same, if the store has it already."""
    media_type = recipe.compression.layer_media_type
    if recipe.level is None:
        if layer.descriptor.media_type == media_type:
            return layer
        return store.memory.layer(layer.diff_id, recipe.compression)
    noted = store.memory.recall(_NOTE, _key(layer, recipe))
    if noted is None:
        return None
    digest, size = noted.decode().split()
    if not store.has(Digest(digest)):
        return None
    return Layer(Descriptor(media_type, Digest(digest), int(size)), layer.diff_id)


def _key(layer: Layer, recipe: Recipe) -> bytes:
    return f"{layer.diff_id} {recipe.compression.value} {recipe.level}".encode()


def _repack(store: Store, layer: Layer, recipe: Recipe) -> tuple[Digest, int]:
    path = store.blob_path(layer.descriptor.digest)
    store.size(layer.descriptor.digest)  # a missing blob is told as what it is
    plain = sha256()
    packer = compressor(recipe)
    try:
        with decompressed(path) as tar, store.new_blob() as blob:
            for piece in pieces(tar):
                plain.update(piece)
                blob.write(packer.compress(piece))
            blob.write(packer.flush())
            if plain.digest() != layer.diff_id.raw:
                raise CompressionError(f"its tar has digest sha256:{plain.hexdigest()}, not {layer.diff_id}")
            return blob.commit()
    except CompressionError as error:
        raise StoreError(
            f"{path} is damaged: {error}",
            hint="remove it, then load or pull the base again, or build with --no-cache",
        ) from error
