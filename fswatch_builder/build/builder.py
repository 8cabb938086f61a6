"""The story of a build: read, plan, walk the stages, store the image."""

import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

from fswatch_builder.build.cache import StepCache
from fswatch_builder.build.checking import in_order
from fswatch_builder.build.contexts import read_dockerfile
from fswatch_builder.build.events import (
    ArgsUnused,
    Events,
    ImageStored,
    InTurn,
    StoreMended,
    Unheeded,
    WarningFound,
)
from fswatch_builder.build.graph import Graph
from fswatch_builder.build.ground import KeptBases
from fswatch_builder.build.misses.story import Stories
from fswatch_builder.build.mounting import Lent, Mounting
from fswatch_builder.build.output.variants import AS_IT_IS, Packing, packed
from fswatch_builder.build.planner import PlanOptions
from fswatch_builder.build.preparation import Prepared, prepare
from fswatch_builder.build.progress import Steps
from fswatch_builder.build.review import review, violation
from fswatch_builder.build.sites import Sites
from fswatch_builder.build.sources import Sources
from fswatch_builder.build.squash import Squash
from fswatch_builder.build.stages import suggestion
from fswatch_builder.build.walk import Finished, How, Walker
from fswatch_builder.build.worksite import Worksite
from fswatch_builder.dockerfile.lint import Check
from fswatch_builder.dockerfile.parser import ParseError, parse
from fswatch_builder.errors import BuildError, DockerfileError, UsageError
from fswatch_builder.model.digest import Digest
from fswatch_builder.model.image import Descriptor, Image
from fswatch_builder.model.instruction import (
    Dockerfile,
    From,
    Warning,  # noqa: A004 - the language's own word
)
from fswatch_builder.model.plan import Plan
from fswatch_builder.model.platform import Platform
from fswatch_builder.model.sandbox import SandboxOptions
from fswatch_builder.oci.compression import Compression
from fswatch_builder.oci.lookup import remember
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.store import Store

if TYPE_CHECKING:
    from fswatch_builder.model.hash_mode import HashMode

#: The build argument that replaces the check directive.
CHECK_ARG: Final = "BUILDKIT_DOCKERFILE_CHECK"


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be built, and how. ``context`` is a directory, ``dockerfile`` the path of a file. With ``keep_bases``
    bases stay unpacked for later builds. No more than ``at_once`` stages (0: any number) are built at the same time.

    ``squash`` makes one layer of the build's own, or of all. Steps make layers of ``compression``; those of the image
    are then as ``packing`` wants them. ``origin`` is what the user calls the context.
    ``text`` is the Dockerfile if it comes from elsewhere; ``dockerfile`` is then what messages call it.
    """

    context: str
    dockerfile: str
    platform: Platform
    origin: str = ""
    target: str | None = None
    names: tuple[Reference, ...] = ()
    build_args: Mapping[str, str] = field(default_factory=dict)
    contexts: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    ignorefile: str | None = None
    epoch: int | None = None
    context_epoch: int | None = None
    tracker: str = "auto"
    hash_mode: "HashMode" = "evidence"
    audit: bool = False
    use_cache: bool = True
    uncached_stages: frozenset[str] = frozenset()
    refresh: bool = False  # images of registries are asked for even if they are in the store
    keep_bases: bool = True
    at_once: int = 1
    compression: Compression = Compression.GZIP
    packing: Packing = AS_IT_IS
    squash: Literal["no", "own", "all"] = "no"
    text: bytes | None = None
    ignores: bool = True  # an ignore file counts
    sandbox: SandboxOptions = field(default_factory=SandboxOptions)
    lent: Lent = field(default_factory=Lent)

    @property
    def project(self) -> tuple[str, str]:
        """What tells its Dockerfile from others of the same store."""
        return self.origin, os.path.abspath(self.dockerfile) if self.text is None else self.dockerfile

    @property
    def keeps_git_dir(self) -> bool:
        """Whether a build context from git shall have its ``.git``."""
        return self.build_args.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR", "").lower() in ("1", "t", "true")


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """What was built: in the store, under its names. The first ``inherited`` layers are the base's."""

    image: Image
    manifest: Descriptor
    config: Digest
    inherited: int


def build(request: Request, store: Store, events: Events) -> BuiltImage:
    """Builds the image and stores it. Raises BuildError.

    From the main thread: stages have threads of their own, and signals end them before they are handled.
    """
    events = InTurn(events)
    for notice in store.notices:
        events.emit(StoreMended(notice))
    dockerfile = _read(request, events)
    _check_names(request.uncached_stages, dockerfile)
    cache = StepCache(store, read=request.use_cache, write=request.hash_mode != "none")
    finished: Graph[int, Finished] = Graph(request.at_once)
    steps = Steps(events)
    with (
        KeptBases(store, steps) if request.keep_bases else nullcontext() as kept,
        Sources(
            store,
            request.context,
            beside(request),
            request.platform,
            finished,
            kept,
            ignorefile=request.ignorefile,
            refresh=request.refresh,
            credentials=request.lent.credentials,
        ) as sources,
    ):
        try:
            prepared = prepare(dockerfile, plan_options(request), sources, steps)
        except BuildError:
            _warn(dockerfile.warnings, events)
            raise
        the_plan = prepared.plan
        _review(prepared, sources, events)
        if the_plan.asks_for_context_epoch and request.context_epoch is None:
            events.emit(Unheeded("SOURCE_DATE_EPOCH=context changes nothing: what the context comes from has no time"))
        if request.packing.rewrite_timestamp and the_plan.source_date_epoch is None:
            events.emit(Unheeded("rewrite-timestamp=true changes nothing: there is no SOURCE_DATE_EPOCH"))
        rewrite = request.packing.rewrite_timestamp is not False
        how = How(request.hash_mode, request.compression, request.audit, request.uncached_stages, rewrite)
        mounting = Mounting(store, sources, request.lent, events)
        stories = Stories(store, request.project, the_plan.stages, keep=cache.write)
        walker = Walker(the_plan, cache, sources, mounting, how, steps, finished, stories)
        with Sites(the_plan.stages, lambda: Worksite(store, request.tracker, kept)) as sites:
            _walk(the_plan, walker, sites, finished)
        target = finished[the_plan.target.index]
        image, inherited = target.image, target.inherited
        if request.squash != "no":
            inherited = inherited if request.squash == "own" else 0
            max_mtime = the_plan.source_date_epoch if rewrite else None
            image = Squash(inherited, request.compression, max_mtime).apply(image, cache, events)
        image = packed(image, inherited, request.packing, request.compression, store, events)
        return _store(image, inherited, request, store, events)


def source(request: Request) -> tuple[bytes, str]:
    """The Dockerfile's bytes, and its name as a user would type it. Raises DockerfileError."""
    if request.text is not None:
        return request.text, request.dockerfile
    text = read_dockerfile(request.dockerfile, request.context)
    relative = os.path.relpath(request.dockerfile)
    return text, request.dockerfile if relative.startswith("..") else relative


def parsed(request: Request, text: bytes, name: str) -> Dockerfile:
    """The Dockerfile with the checks that are wanted. Raises ParseError, UsageError."""
    wanted = request.build_args.get(CHECK_ARG)
    try:
        check = None if wanted is None else Check.parse(wanted)
    except DockerfileError as error:
        raise UsageError(f"--build-arg {CHECK_ARG}={wanted}: {error.what}", hint=error.hint) from error
    return parse(text, name, check)


def _read(request: Request, events: Events) -> Dockerfile:
    """What the checks had to say of the lines before an error is told."""
    try:
        return parsed(request, *source(request))
    except ParseError as error:
        _warn(error.warnings, events)
        raise


def _check_names(uncached: Collection[str], dockerfile: Dockerfile) -> None:
    names = [one.name for one in dockerfile.instructions if isinstance(one, From) and one.name]
    for name in sorted(uncached):
        if name not in names:
            raise UsageError(f"--no-cache-filter {name}: no stage has this name", hint=suggestion(name, names))


def plan_options(request: Request) -> PlanOptions:
    """What of the request concerns the plan."""
    return PlanOptions(
        platform=request.platform,
        build_platform=Platform.host(),
        target=request.target,
        build_args=request.build_args,
        contexts=request.contexts,
        epoch=request.epoch,
        context_epoch=request.context_epoch,
        sandbox=request.sandbox,
    )


def _review(prepared: Prepared, sources: Sources, events: Events) -> None:
    """The checks' findings are told, in the order of the file, before anything is done and before an error too."""
    found = [*prepared.plan.warnings]
    try:
        found.extend(review(prepared, sources.ignored()))
    finally:
        _warn(in_order(found), events)
    if prepared.plan.unused_args:
        events.emit(ArgsUnused(prepared.plan.unused_args))
    if prepared.plan.checks.fail and found:
        raise violation(found)


def _warn(warnings: Sequence[Warning], events: Events) -> None:
    for warning in warnings:
        events.emit(WarningFound(warning.rule, warning.message, warning.where))


def _walk(plan: Plan, walker: Walker, sites: Sites, finished: Graph[int, Finished]) -> None:
    """All stages. One begins when the stage that it starts from is finished; for others it waits when it comes to the
    instruction that takes from them.
    """
    stages = {stage.index: stage for stage in plan.stages}

    def walk(index: int) -> Finished:
        stage = stages[index]
        site = sites.open(stage)
        done = walker.walk(stage, site)
        site.stop_tracking()
        sites.done(stage)
        return done

    finished.run({index: stage.starts_from for index, stage in stages.items()}, walk)


def _store(image: Image, inherited: int, request: Request, store: Store, events: Events) -> BuiltImage:
    image = image.with_config(replace(image.config, labels={**image.config.labels, **request.labels}))
    manifest = store.put_image(image, request.annotations)
    for name in request.names:
        store.tag(name, manifest, image.platform)
    config = remember(store, manifest.digest)
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
    return BuiltImage(image, manifest, config, inherited)


def beside(request: Request) -> str | None:
    """Where an ignore file of the Dockerfile's own would be; one without a place has none. None: none counts."""
    if not request.ignores:
        return None
    return request.dockerfile if request.text is None else f"{request.context}/"
