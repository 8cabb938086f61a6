"""What a build gives: an image, or an index of one for each platform, as documents in the store."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from fswatch_builder.model.annotation import Annotation, annotations_of
from fswatch_builder.model.digest import Digest
from fswatch_builder.model.image import Descriptor, Image
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci.index import Member
from fswatch_builder.oci.store import Store


class BuiltImage(Struct, frozen=True):
    """The image for a platform. The first ``inherited`` layers are the base's."""

    platform: Platform
    image: Image
    manifest: Descriptor
    config: Digest
    inherited: int


class Product(Struct, frozen=True):
    """What was built. Without an ``index`` there is one image."""

    images: tuple[BuiltImage, ...]
    index: Descriptor | None = None

    @property
    def descriptor(self) -> Descriptor:
        """What the names stand for."""
        return self.index or self.images[0].manifest

    @property
    def id(self) -> Digest:
        """By which docker knows it: the image ID (the digest of its configuration), or the index's digest."""
        return self.images[0].config if self.index is None else self.index.digest


def put_manifest(store: Store, image: Image, platform: Platform, annotations: Sequence[Annotation]) -> Descriptor:
    """Writes the documents of an image."""
    manifest = store.put_image(image, annotations_of(annotations, "manifest", platform))
    return replace(manifest, annotations=annotations_of(annotations, "manifest-descriptor", platform))


def put_index(store: Store, members: Sequence[Member], annotations: Sequence[Annotation]) -> Descriptor:
    """Writes the index of several images."""
    index = store.put_index(members, annotations_of(annotations, "index"))
    return replace(index, annotations=annotations_of(annotations, "index-descriptor"))
