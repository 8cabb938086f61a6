"""One image in several packings: other blobs, hence another manifest, but the same configuration and image ID."""

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from fswatch_builder.build.events import Events, WorkStarted
from fswatch_builder.model.image import Image
from fswatch_builder.oci.compression import Compression
from fswatch_builder.oci.store import Store


class Packing(Struct, frozen=True):
    """What an output asks of an image's blobs and times.

    ``compression`` and ``level`` are of the layers that the build made, and with ``force`` of all; None leaves them as
    they are. ``rewrite_timestamp`` False: times later than SOURCE_DATE_EPOCH stay in the layers.
    """

    compression: Compression | None = None
    level: int | None = None
    force: bool = False
    rewrite_timestamp: bool | None = None


AS_IT_IS: Final = Packing()
"""Nothing is asked for."""


def packed(image: Image, inherited: int, packing: Packing, default: Compression, store: Store, events: Events) -> Image:
    """The image with its blobs as ``packing`` wants them. The first ``inherited`` layers are the base's, which are left
    alone unless it says force; ``default`` is what force means where no compression is named.
    """
    compression = packing.compression or (default if packing.force else None)
    if compression is None:
        return image
    from fswatch_builder.oci.packing import Recipe
    from fswatch_builder.oci.repacking import known, repacked

    recipe = Recipe(compression, packing.level)
    first = 0 if packing.force else inherited
    layers = image.layers[first:]
    missing = sum(known(store, layer, recipe) is None for layer in layers)
    if missing:
        events.emit(WorkStarted(f"compressing {missing} of {len(image.layers)} layers anew ({compression.value})"))
    return replace(image, layers=(*image.layers[:first], *(repacked(store, layer, recipe) for layer in layers)))
