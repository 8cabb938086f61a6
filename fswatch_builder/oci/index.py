"""An index: several images under one digest, each for a platform. Attestations may stand in it, too."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from fswatch_builder.model.image import Descriptor
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci import documents


class Member(Struct, frozen=True):
    """One image of an index: the descriptor of its manifest, with annotations, and the platform it is for."""

    manifest: Descriptor
    platform: Platform


def write(members: Sequence[Member], annotations: Mapping[str, str]) -> bytes:
    """An OCI index; the images keep their order, ``annotations`` are the index's own."""
    return documents.write_index(
        [documents.descriptor_document(member.manifest, member.platform) for member in members], annotations
    )


class References(Struct, frozen=True):
    """What a manifest or an index names, whatever it is of: blobs, and for an index manifests."""

    blobs: tuple[Descriptor, ...] = ()
    manifests: tuple[Descriptor, ...] = ()


def references(content: bytes, what: str) -> References:
    """Of a manifest or an index, also of what is no image. Raises BaseImageError."""
    document = documents.decode(content, documents.ManifestDocument, what)
    config = [] if document.config is None else [document.config]
    return References(
        tuple(documents.descriptor(entry, what) for entry in (*config, *(document.layers or ()))),
        tuple(documents.descriptor(entry, what) for entry in document.manifests or ()),
    )
