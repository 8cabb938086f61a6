"""The JSON documents of images: read strictly from OCI and Docker, written canonically as OCI.

Written documents are deterministic: a fixed order of keys, maps sorted, nothing empty, no white space.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Struct, field

from fswatch_builder.errors import BaseImageError
from fswatch_builder.model.digest import DiffID, Digest
from fswatch_builder.model.image import Descriptor, Healthcheck, History, Image, Layer, RunConfig
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


class _HealthcheckDocument(Struct, omit_defaults=True, frozen=True, rename="pascal"):
    test: list[str] | None = None
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class _RunConfigDocument(Struct, omit_defaults=True, frozen=True, rename="pascal"):
    user: str = ""
    exposed_ports: dict[str, object] | None = None
    env: list[str] | None = None
    entrypoint: list[str] | str | None = None
    cmd: list[str] | str | None = None
    healthcheck: _HealthcheckDocument | None = None
    volumes: dict[str, object] | None = None
    working_dir: str = ""
    on_build: list[str] | None = None
    labels: dict[str, str] | None = None
    stop_signal: str = ""
    shell: list[str] | None = None


class _RootfsDocument(Struct, frozen=True):
    type: str = "layers"
    diff_ids: list[str] | None = None


class _HistoryDocument(Struct, omit_defaults=True, frozen=True):
    created: datetime | None = None
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class _ConfigDocument(Struct, omit_defaults=True, frozen=True):
    created: datetime | None = None
    author: str = ""
    architecture: str = ""
    os: str = ""
    variant: str = ""
    config: _RunConfigDocument | None = None
    rootfs: _RootfsDocument | None = None
    history: list[_HistoryDocument] | None = None


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
        platform = _platform(stated.os, stated.architecture, stated.variant, what)
    return Choice(descriptor(document, what), platform)


def _platform(os: str, architecture: str, variant: str, what: str) -> Platform:
    try:
        return Platform.parse("/".join(part for part in (os, architecture, variant) if part))
    except ValueError as error:
        raise BaseImageError(f"{what}: {error}") from None


def layer_media_types(content: bytes, what: str) -> frozenset[str]:
    """The media types of a manifest's layers as they stand in it."""
    return frozenset(layer.media_type for layer in decode(content, ManifestDocument, what).layers or ())


def history_layers(content: bytes, what: str) -> int | None:
    """How many layers the history in a configuration speaks of; None: it has no history."""
    history = decode(content, _ConfigDocument, what).history
    return sum(not line.empty_layer for line in history) if history else None


def config_diff_ids(content: bytes, what: str) -> tuple[DiffID, ...]:
    """The diffIDs an image's configuration lists, bottom layer first."""
    return _diff_ids(decode(content, _ConfigDocument, what), what)


def config_platform(content: bytes, what: str) -> Platform:
    """The platform an image's configuration is for."""
    document = decode(content, _ConfigDocument, what)
    if not document.os or not document.architecture:
        raise BaseImageError(f"{what} names no platform")
    return _platform(document.os, document.architecture, document.variant, what)


def config_fits(content: bytes, wanted: Platform, what: str) -> bool:
    """Whether an image's configuration lets it serve for a platform. Without a variant it does for all of its
    architecture: tools have long left it out, in images for arm/v6 too.
    """
    offered = config_platform(content, what)
    if decode(content, _ConfigDocument, what).variant:
        return fits(offered, wanted)
    return (offered.os, offered.architecture) in {(one.os, one.architecture) for one in wanted.candidates()}


def _diff_ids(document: _ConfigDocument, what: str) -> tuple[DiffID, ...]:
    listed = document.rootfs.diff_ids if document.rootfs is not None else None
    try:
        return tuple(DiffID(text) for text in listed or ())
    except ValueError as error:
        raise BaseImageError(f"{what}: {error}") from None


def read_image(config: bytes, manifest: Manifest, what: str) -> Image:
    """An image from its configuration and manifest. Times are in UTC."""
    document = decode(config, _ConfigDocument, f"the configuration of {what}")
    diff_ids = _diff_ids(document, f"the configuration of {what}")
    if len(diff_ids) != len(manifest.layers):
        raise BaseImageError(
            f"{what}: the configuration lists {len(diff_ids)} layers, the manifest {len(manifest.layers)}"
        )
    layers = tuple(Layer(blob, diff_id) for blob, diff_id in zip(manifest.layers, diff_ids, strict=True))
    if not document.os or not document.architecture:
        raise BaseImageError(f"{what}: the configuration names no platform")
    return Image(
        platform=_platform(document.os, document.architecture, document.variant, what),
        config=_run_config(document.config or _RunConfigDocument()),
        layers=layers,
        history=_history(document.history or [], len(layers)),
        created=_utc(document.created),
        author=document.author,
    )


def _history(lines: list[_HistoryDocument], layers: int) -> tuple[History, ...]:
    """As it stands, if it fits the layers. Some tools write none or part of it: what lacks becomes empty lines."""
    history = [
        History(_utc(line.created), line.created_by, line.author, line.comment, line.empty_layer) for line in lines
    ]
    with_layer = sum(not line.empty_layer for line in history)
    if with_layer > layers:
        history, with_layer = [], 0
    return (*history, *(History() for _ in range(layers - with_layer)))


def _run_config(document: _RunConfigDocument) -> RunConfig:
    check = document.healthcheck
    return RunConfig(
        user=document.user,
        exposed_ports=tuple(document.exposed_ports or ()),
        env=tuple(document.env or ()),
        entrypoint=_words(document.entrypoint),
        cmd=_words(document.cmd),
        volumes=tuple(document.volumes or ()),
        working_dir=document.working_dir,
        labels=dict(document.labels or {}),
        stop_signal=document.stop_signal,
        shell=_words(document.shell),
        on_build=tuple(document.on_build or ()),
        healthcheck=None
        if check is None
        else Healthcheck(
            tuple(check.test or ()),
            check.interval,
            check.timeout,
            check.start_period,
            check.start_interval,
            check.retries,
        ),
    )


def _words(words: list[str] | str | None) -> tuple[str, ...] | None:
    if words is None:
        return None
    return (words,) if isinstance(words, str) else tuple(words)


# Writing.


def write_config(image: Image) -> bytes:
    """The configuration of an image, canonical: equal images give equal bytes."""
    document = _ConfigDocument(
        created=_utc(image.created),
        author=image.author,
        architecture=image.platform.architecture,
        os=image.platform.os,
        variant=image.platform.variant,
        config=_run_config_document(image.config),
        rootfs=_RootfsDocument(diff_ids=[layer.diff_id.text for layer in image.layers]),
        history=[
            _HistoryDocument(_utc(line.created), line.created_by, line.author, line.comment, line.empty_layer)
            for line in image.history
        ]
        or None,
    )
    return msgspec.json.encode(document)


def _utc(time: datetime | None) -> datetime | None:
    if time is None:
        return None
    try:
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except OverflowError:  # an hour of the year 1 or 9999 that in UTC is in another
        return time.replace(tzinfo=UTC)


def _run_config_document(config: RunConfig) -> _RunConfigDocument:
    check = config.healthcheck
    return _RunConfigDocument(
        user=config.user,
        exposed_ports=_set(config.exposed_ports),
        env=list(config.env) or None,
        entrypoint=_list(config.entrypoint),
        cmd=_list(config.cmd),
        healthcheck=None
        if check is None
        else _HealthcheckDocument(
            list(check.test) or None,
            check.interval_ns,
            check.timeout_ns,
            check.start_period_ns,
            check.start_interval_ns,
            check.retries,
        ),
        volumes=_set(config.volumes),
        working_dir=config.working_dir,
        on_build=list(config.on_build) or None,
        labels=_sorted(config.labels),
        stop_signal=config.stop_signal,
        shell=_list(config.shell),
    )


def _list(words: tuple[str, ...] | None) -> list[str] | None:
    return None if words is None else list(words)


def _set(names: tuple[str, ...]) -> dict[str, object] | None:
    return {name: {} for name in sorted(names)} or None


def _sorted(pairs: Mapping[str, str]) -> dict[str, str] | None:
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
        annotations=_sorted(annotations or {}),
    )
    return msgspec.json.encode(document)


def write_index(manifests: list[DescriptorDocument], annotations: Mapping[str, str] | None = None) -> bytes:
    """An OCI index; the manifests keep their order."""
    document = ManifestDocument(
        schema_version=2,
        media_type=media_types.OCI_INDEX,
        manifests=manifests,
        annotations=_sorted(annotations or {}),
    )
    return msgspec.json.encode(document)


def descriptor_document(value: Descriptor, platform: Platform | None = None) -> DescriptorDocument:
    """A descriptor for a document; in an index it says its platform."""
    stated = None if platform is None else PlatformDocument(platform.architecture, platform.os, platform.variant)
    return DescriptorDocument(value.media_type, value.digest.text, value.size, _sorted(value.annotations), stated)
