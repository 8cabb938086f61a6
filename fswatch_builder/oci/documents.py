"""Manifests and indexes: read strictly, from OCI and Docker, and written canonically as OCI.

Written documents are deterministic: a fixed order of keys, maps sorted, nothing empty, no white space.
"""

from collections.abc import Mapping
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Struct, field

from fswatch_builder.errors import BaseImageError
from fswatch_builder.model.digest import Digest
from fswatch_builder.model.image import Descriptor, Layer
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci import media_types

#: Bytes. Manifests are a few KiB, configurations rarely 100; what is larger is an attack on our memory.
MAX_DOCUMENT: Final = 16 << 20
_MAX_LAYERS: Final = 1024

_Size = Annotated[int, Meta(ge=0)]
_T = TypeVar("_T")


class PlatformDocument(Struct, omit_defaults=True, frozen=True):
    """``platform`` of a descriptor in an index."""

    architecture: str = ""
    os: str = ""
    variant: str = ""


class DescriptorDocument(Struct, omit_defaults=True, frozen=True):
    """A descriptor as it stands in manifests and indexes."""

    media_type: str = field(name="mediaType", default="")
    digest: str = ""
    size: _Size = 0
    annotations: dict[str, str] | None = None
    platform: PlatformDocument | None = None


class ManifestDocument(Struct, omit_defaults=True, frozen=True):
    """A manifest or an index: which of them, ``media_type`` decides, never the fields that happen to be there."""

    schema_version: int = field(name="schemaVersion", default=0)
    media_type: str = field(name="mediaType", default="")
    config: DescriptorDocument | None = None
    layers: list[DescriptorDocument] | None = None
    manifests: list[DescriptorDocument] | None = None
    annotations: dict[str, str] | None = None


class Manifest(Struct, frozen=True):
    """One image: where its configuration and its layers are. Layers have OCI media types, whatever the source said."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


class Choice(Struct, frozen=True):
    """One manifest of an index, and what it is for (None: not said)."""

    descriptor: Descriptor
    platform: Platform | None

    @property
    def is_image(self) -> bool:
        """Whether it is for some machine. BuildKit says ``unknown/unknown`` of attestations, which stand beside the
        images that they are about.
        """
        return self.platform is not None and self.platform.os != "unknown"


class Index(Struct, frozen=True):
    """Several images, one a platform (or a layout's entries)."""

    manifests: tuple[Choice, ...]

    def choose(self, platform: Platform, what: str) -> Descriptor:
        """The manifest for a platform: the first of the best that it can run. Raises BaseImageError."""
        for candidate in platform.candidates():
            for choice in self.manifests:
                if choice.platform == candidate:
                    return choice.descriptor
        if not self.manifests:
            raise BaseImageError(f"{what} holds no image")
        known = sorted({str(choice.platform) for choice in self.manifests if choice.is_image})
        raise BaseImageError(
            f"{what} is not available for {platform}",
            hint=f"it is there for {', '.join(known)}" if known else "its index names no platform",
        )


def fits(offered: Platform, wanted: Platform) -> bool:
    """Whether an image for one platform serves for another."""
    return offered in wanted.candidates()


def decode(content: bytes, kind: type[_T], what: str) -> _T:
    """A document of a type. Raises BaseImageError saying where in it the mistake is."""
    if len(content) > MAX_DOCUMENT:
        raise BaseImageError(f"{what} is larger than {MAX_DOCUMENT >> 20} MiB")
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BaseImageError(f"{what} is not a valid document: {error}") from None


def read_manifest(content: bytes, declared: str, what: str) -> Manifest | Index:
    """A manifest or an index, OCI or Docker. ``declared`` is the media type it was announced with, "" if it was not."""
    document = decode(content, ManifestDocument, what)
    if document.schema_version != 2:
        raise BaseImageError(
            f"{what} has schema version {document.schema_version}; only 2 is read",
            hint="push the image again with a newer tool",
        )
    media_type = _media_type_of(document, declared, what)
    if media_type in media_types.INDEXES:
        return Index(tuple(_choice(entry, what) for entry in document.manifests or ()))
    if document.config is None:
        raise BaseImageError(f"{what} has no configuration")
    config = descriptor(document.config, what)
    if config.media_type not in media_types.CONFIGS:
        raise BaseImageError(f"{what} is not a container image but an artifact ({config.media_type})")
    if len(document.layers or ()) > _MAX_LAYERS:
        raise BaseImageError(f"{what} has more than {_MAX_LAYERS} layers")
    return Manifest(config, tuple(_layer_descriptor(layer, what) for layer in document.layers or ()))


def manifest_media_type(content: bytes, declared: str, what: str) -> str:
    """Which media type a manifest's own bytes and announcement give it."""
    return _media_type_of(decode(content, ManifestDocument, what), declared, what)


def _media_type_of(document: ManifestDocument, declared: str, what: str) -> str:
    """The media type decides, and one that could be read as both is refused (CVE-2021-41190)."""
    if document.manifests is not None and (document.layers is not None or document.config is not None):
        raise BaseImageError(f"{what} claims to be a manifest and an index at once")
    known = media_types.INDEXES | media_types.MANIFESTS
    inside = document.media_type
    if inside and declared in known and inside != declared:
        raise BaseImageError(f"{what} was announced as {declared} but says it is {inside}")
    media_type = inside or (declared if declared in known else "")
    if not media_type:
        media_type = media_types.OCI_INDEX if document.manifests is not None else media_types.OCI_MANIFEST
    if media_type not in known:
        raise BaseImageError(f"{what} is of a type that is not read: {media_type}")
    if (media_type in media_types.INDEXES) == (document.config is not None or document.layers is not None):
        raise BaseImageError(f"{what} says it is {media_type}, but its content is of the other kind")
    return media_type


def descriptor(document: DescriptorDocument, what: str) -> Descriptor:
    """A descriptor as a value; its digest is parsed strictly: it becomes part of a path. Raises BaseImageError."""
    try:
        digest = Digest(document.digest)
    except ValueError as error:
        raise BaseImageError(f"{what}: {error}") from None
    return Descriptor(document.media_type, digest, document.size, dict(document.annotations or {}))


def _layer_descriptor(document: DescriptorDocument, what: str) -> Descriptor:
    plain = descriptor(document, what)
    try:
        return Descriptor(media_types.oci_layer(plain.media_type), plain.digest, plain.size)
    except ValueError as error:
        raise BaseImageError(f"{what}: {error}") from None


def _choice(document: DescriptorDocument, what: str) -> Choice:
    stated = document.platform
    platform: Platform | None = None
    if stated is not None and stated.os and stated.architecture:
        platform = read_platform(stated.os, stated.architecture, stated.variant, what)
    return Choice(descriptor(document, what), platform)


def read_platform(os: str, architecture: str, variant: str, what: str) -> Platform:
    """A platform as documents spell it. Raises BaseImageError."""
    try:
        return Platform.parse("/".join(part for part in (os, architecture, variant) if part))
    except ValueError as error:
        raise BaseImageError(f"{what}: {error}") from None


def layer_media_types(content: bytes, what: str) -> frozenset[str]:
    """The media types of a manifest's layers as they stand in it."""
    return frozenset(layer.media_type for layer in decode(content, ManifestDocument, what).layers or ())


# Writing.


def sorted_pairs(pairs: Mapping[str, str]) -> dict[str, str] | None:
    """As they are written: none is nothing."""
    return dict(sorted(pairs.items())) or None


def write_manifest(
    config: Descriptor, layers: tuple[Layer, ...], annotations: Mapping[str, str] | None = None
) -> bytes:
    """An OCI manifest."""
    document = ManifestDocument(
        schema_version=2,
        media_type=media_types.OCI_MANIFEST,
        config=descriptor_document(config),
        layers=[descriptor_document(layer.descriptor) for layer in layers],
        annotations=sorted_pairs(annotations or {}),
    )
    return msgspec.json.encode(document)


def write_index(manifests: list[DescriptorDocument], annotations: Mapping[str, str] | None = None) -> bytes:
    """An OCI index; the manifests keep their order."""
    document = ManifestDocument(
        schema_version=2,
        media_type=media_types.OCI_INDEX,
        manifests=manifests,
        annotations=sorted_pairs(annotations or {}),
    )
    return msgspec.json.encode(document)


def descriptor_document(value: Descriptor, platform: Platform | None = None) -> DescriptorDocument:
    """A descriptor for a document; in an index it says its platform."""
    stated = None if platform is None else PlatformDocument(platform.architecture, platform.os, platform.variant)
    return DescriptorDocument(value.media_type, value.digest.text, value.size, sorted_pairs(value.annotations), stated)
