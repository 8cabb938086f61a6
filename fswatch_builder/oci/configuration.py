"""An image's configuration: read strictly, from OCI and Docker, and written canonically.

Written configurations are deterministic: a fixed order of keys, maps sorted, nothing empty, no white space.
"""

from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from fswatch_builder.errors import BaseImageError
from fswatch_builder.model.digest import DiffID
from fswatch_builder.model.image import Healthcheck, History, Image, Layer, RunConfig
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci.documents import Manifest, decode, fits, read_platform, sorted_pairs


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


def diff_ids(content: bytes, what: str) -> tuple[DiffID, ...]:
    """The diffIDs that it lists, bottom layer first. Raises BaseImageError."""
    return _diff_ids(decode(content, _ConfigDocument, what), what)


def platform_of(content: bytes, what: str) -> Platform:
    """The platform it is for. Raises BaseImageError where it names none."""
    document = decode(content, _ConfigDocument, what)
    if not document.os or not document.architecture:
        raise BaseImageError(f"{what} names no platform")
    return read_platform(document.os, document.architecture, document.variant, what)


def serves(content: bytes, wanted: Platform, what: str) -> bool:
    """Whether it lets its image serve for a platform. Without a variant it does for all of its architecture: tools have
    long left it out, in images for arm/v6 too.
    """
    offered = platform_of(content, what)
    if decode(content, _ConfigDocument, what).variant:
        return fits(offered, wanted)
    return (offered.os, offered.architecture) in {(one.os, one.architecture) for one in wanted.candidates()}


def _diff_ids(document: _ConfigDocument, what: str) -> tuple[DiffID, ...]:
    listed = document.rootfs.diff_ids if document.rootfs is not None else None
    try:
        return tuple(DiffID(text) for text in listed or ())
    except ValueError as error:
        raise BaseImageError(f"{what}: {error}") from None


def read(config: bytes, manifest: Manifest, what: str) -> Image:
    """An image from its configuration and manifest. Times are in UTC. Raises BaseImageError."""
    document = decode(config, _ConfigDocument, f"the configuration of {what}")
    listed = _diff_ids(document, f"the configuration of {what}")
    if len(listed) != len(manifest.layers):
        raise BaseImageError(
            f"{what}: the configuration lists {len(listed)} layers, the manifest {len(manifest.layers)}"
        )
    layers = tuple(Layer(blob, diff_id) for blob, diff_id in zip(manifest.layers, listed, strict=True))
    if not document.os or not document.architecture:
        raise BaseImageError(f"{what}: the configuration names no platform")
    return Image(
        platform=read_platform(document.os, document.architecture, document.variant, what),
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


def write(image: Image) -> bytes:
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
        labels=sorted_pairs(config.labels),
        stop_signal=config.stop_signal,
        shell=_list(config.shell),
    )


def _list(words: tuple[str, ...] | None) -> list[str] | None:
    return None if words is None else list(words)


def _set(names: tuple[str, ...]) -> dict[str, object] | None:
    return {name: {} for name in sorted(names)} or None
