"""The story of a build: read, plan, walk the stages, store the image."""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from fswatch_builder.build.cache import StepCache
from fswatch_builder.build.events import ArgsUnused, Events, ImageStored, WarningFound
from fswatch_builder.build.planner import PlanOptions, plan
from fswatch_builder.build.sources import Sources
from fswatch_builder.build.walk import Finished, How, Walker
from fswatch_builder.build.worksite import Worksite
from fswatch_builder.dockerfile.parser import ParseError, parse
from fswatch_builder.errors import DockerfileError
from fswatch_builder.model.digest import Digest
from fswatch_builder.model.image import Descriptor, Image
from fswatch_builder.model.instruction import Warning  # noqa: A004 - the language's own word
from fswatch_builder.model.plan import Stage
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci.compression import Compression
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.store import Store

if TYPE_CHECKING:
    from fswatch_builder.model.hash_mode import HashMode

#: Bytes.
_LARGEST_DOCKERFILE: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be built, and how. ``context`` is a directory, ``dockerfile`` the path of a file.

    ``text`` is the Dockerfile if it comes from elsewhere; ``dockerfile`` is then what messages call it.
    """

    context: str
    dockerfile: str
    platform: Platform
    target: str | None = None
    names: tuple[Reference, ...] = ()
    build_args: Mapping[str, str] = field(default_factory=dict)
    contexts: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    tracker: str = "auto"
    hash_mode: "HashMode" = "evidence"
    audit: bool = False
    use_cache: bool = True
    compression: Compression = Compression.GZIP
    text: bytes | None = None


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """What was built: in the store, under its names."""

    image: Image
    manifest: Descriptor
    config: Digest


def build(request: Request, store: Store, events: Events) -> BuiltImage:
    """Builds the image and stores it. Raises BuildError."""
    text = read_dockerfile(request.dockerfile, request.context) if request.text is None else request.text
    try:
        dockerfile = parse(text, _shown_name(request))
    except ParseError as error:
        _warn(error.warnings, events)
        raise
    the_plan = plan(
        dockerfile,
        PlanOptions(
            platform=request.platform,
            build_platform=Platform.host(),
            target=request.target,
            build_args=request.build_args,
            contexts=request.contexts,
        ),
    )
    _warn(the_plan.warnings, events)
    if the_plan.unused_args:
        events.emit(ArgsUnused(the_plan.unused_args))
    cache = StepCache(store, read=request.use_cache, write=request.hash_mode != "none")
    finished: dict[int, Finished] = {}
    with (
        Sources(store, request.context, _beside(request), request.platform, finished) as sources,
        ExitStack() as sites,
    ):
        how = How(request.hash_mode, request.compression, request.audit)
        walker = Walker(the_plan, cache, sources, how, events, finished)
        for position, stage in enumerate(the_plan.stages, 1):
            site = sites.enter_context(Worksite(store, request.tracker))
            finished[stage.index] = walker.walk(stage, site)
            site.stop_tracking()
            _release(finished, the_plan.stages[position:])
        return _store(finished[the_plan.target.index].image, request, store, events)


def _warn(warnings: Sequence[Warning], events: Events) -> None:
    for warning in warnings:
        events.emit(WarningFound(warning.rule, warning.message, warning.where))


def _release(finished: Mapping[int, Finished], to_come: Sequence[Stage]) -> None:
    """Root file systems that no later stage takes anything from go at once, not at the end of the build."""
    needed = {index for stage in to_come for index in stage.needs}
    for index, stage in finished.items():
        if index not in needed:
            stage.site.close()


def _store(image: Image, request: Request, store: Store, events: Events) -> BuiltImage:
    image = image.with_config(replace(image.config, labels={**image.config.labels, **request.labels}))
    manifest = store.put_image(image)
    for name in request.names:
        store.tag(name, manifest, image.platform)
    config = Digest(json.loads(store.read(manifest.digest))["config"]["digest"])
    events.emit(
        ImageStored(
            manifest=str(manifest.digest),
            config=str(config),
            layers=len(image.layers),
            size=sum(layer.descriptor.size for layer in image.layers),
            names=tuple(name.familiar() for name in request.names),
            layout=store.directory,
            platform=str(image.platform),
        )
    )
    return BuiltImage(image, manifest, config)


def find_dockerfile(context: str, name: str | None) -> str:
    """The file asked for, else ``Dockerfile``, else ``dockerfile`` of the context."""
    if name is not None:
        return name
    for candidate in ("Dockerfile", "dockerfile"):
        path = os.path.join(context, candidate)
        if os.path.exists(path):
            return path
    raise DockerfileError(f"there is no Dockerfile in {context}", hint="name it with -f FILE, or give another context")


def read_dockerfile(path: str, context: str) -> bytes:
    """Its bytes. Raises DockerfileError.

    One in the context may come from someone else, and an error shows lines of it. So a link there must not lead out: of
    ``Dockerfile -> ~/.ssh/id_rsa``, built by a pipeline, the log would show the key.
    """
    if _is_below(os.path.abspath(path), os.path.abspath(context)):
        real = os.path.realpath(path)
        if not _is_below(real, os.path.realpath(context)):
            raise DockerfileError(
                f"the Dockerfile {path} is a link that leads out of the context, to {real}",
                hint="if you trust it, name the file itself with -f FILE",
            )
        if os.path.exists(real) and not os.path.isfile(real):  # a FIFO would make us wait for ever
            raise DockerfileError(f"the Dockerfile {path} is not a file")
    try:
        with open(path, "rb") as file:
            content = file.read(_LARGEST_DOCKERFILE + 1)
    except OSError as error:
        raise DockerfileError(f"cannot read the Dockerfile {path}: {error.strerror}") from error
    if len(content) > _LARGEST_DOCKERFILE:
        raise DockerfileError(f"the Dockerfile {path} is larger than {_LARGEST_DOCKERFILE >> 20} MiB")
    return content


def _is_below(path: str, directory: str) -> bool:
    return os.path.commonpath([path, directory]) == directory


def _beside(request: Request) -> str:
    """Where an ignore file of the Dockerfile's own would be; one without a place has none."""
    return request.dockerfile if request.text is None else f"{request.context}/"


def _shown_name(request: Request) -> str:
    """The path as a user would type it."""
    if request.text is not None:
        return request.dockerfile
    relative = os.path.relpath(request.dockerfile)
    return request.dockerfile if relative.startswith("..") else relative
