"""The story of a build: read, plan, walk the stages, store the image."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext

from msgspec.structs import replace

from fswatch_builder.build.cache import StepCache
from fswatch_builder.build.checking import in_order
from fswatch_builder.build.events import (
    ArgsUnused,
    Events,
    ImageStored,
    IndexStored,
    InTurn,
    StoreMended,
    Unheeded,
    WarningFound,
)
from fswatch_builder.build.graph import Graph
from fswatch_builder.build.kept_bases import KeptBases
from fswatch_builder.build.misses.story import Stories
from fswatch_builder.build.mounting import Mounting
from fswatch_builder.build.output.variants import packed
from fswatch_builder.build.platforms import together
from fswatch_builder.build.preparation import Prepared, prepare
from fswatch_builder.build.product import BuiltImage, Product, put_index, put_manifest
from fswatch_builder.build.progress import Steps
from fswatch_builder.build.request import Request, beside, check_annotations, parsed, plan_options, source
from fswatch_builder.build.review import review, violation
from fswatch_builder.build.sites import Sites
from fswatch_builder.build.sources import Sources
from fswatch_builder.build.squash import Squash
from fswatch_builder.build.stages import suggestion
from fswatch_builder.build.walk import Finished, How, Walker
from fswatch_builder.build.worksite import Worksite
from fswatch_builder.dockerfile.parser import ParseError
from fswatch_builder.errors import BuildError, UsageError
from fswatch_builder.model.image import Descriptor, Image, RunConfig
from fswatch_builder.model.instruction import (
    Dockerfile,
    From,
    Warning,  # noqa: A004 - the language's own word
)
from fswatch_builder.model.plan import Plan
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci.index import Member
from fswatch_builder.oci.lookup import remember
from fswatch_builder.oci.store import Store


def build(request: Request, store: Store, events: Events) -> Product:
    """Builds the image, or one for each platform, and stores it. Raises BuildError.

    From the main thread: stages have threads of their own, and signals end them before they are handled.
    """
    events = InTurn(events)
    for notice in store.notices:
        events.emit(StoreMended(notice))
    check_annotations(request)
    dockerfile = _read(request, events)
    _check_names(request.uncached_stages, dockerfile)
    cache = StepCache(store, read=request.use_cache, write=request.hash_mode != "none")
    finished: Graph[int, Finished] = Graph(request.at_once)
    steps = Steps(events)
    with (
        KeptBases(store, steps, request.tracker) if request.keep_bases else nullcontext() as kept,
        Sources(
            store,
            request.context,
            beside(request),
            finished,
            kept,
            steps,
            ignorefile=request.ignorefile,
            refresh=request.refresh,
            read_all=request.hash_mode == "all",
            credentials=request.lent.credentials,
        ) as sources,
    ):
        try:
            prepared = {
                platform: prepare(dockerfile, plan_options(request, platform), sources, steps)
                for platform in request.targets
            }
        except BuildError:
            _warn(dockerfile.warnings, events)
            raise
        _review(tuple(prepared.values()), sources, events)
        targets = together({platform: one.plan for platform, one in prepared.items()})
        the_plan = targets.plan
        if the_plan.asks_for_context_epoch and request.context_epoch is None:
            events.emit(Unheeded("SOURCE_DATE_EPOCH=context changes nothing: what the context comes from has no time"))
        if request.packing.rewrite_timestamp and the_plan.source_date_epoch is None:
            events.emit(Unheeded("rewrite-timestamp=true changes nothing: there is no SOURCE_DATE_EPOCH"))
        rewrite = request.packing.rewrite_timestamp is not False
        how = How(request.hash_mode, request.compression, request.audit, request.uncached_stages, rewrite)
        mounting = Mounting(store, sources, request.lent, events)
        stories = Stories(store, request.project, the_plan.stages, keep=cache.write)
        walker = Walker(the_plan, cache, sources, mounting, how, steps, finished, stories)
        with Sites(the_plan.stages, lambda: Worksite(store, request.tracker, kept, steps)) as sites:
            _walk(the_plan, walker, sites, finished)
        max_mtime = the_plan.source_date_epoch if rewrite else None
        return _store(
            [
                _image(finished[stage.index], platform, request, max_mtime, cache, events)
                for platform, stage in targets.stages.items()
            ],
            request,
            store,
            events,
        )


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


def _review(prepared: Sequence[Prepared], sources: Sources, events: Events) -> None:
    """The checks' findings are told, in the order of the file, before anything is done and before an error too."""
    found: list[Warning] = []
    try:
        for one in prepared:
            found += one.plan.warnings
            found.extend(review(one, sources.ignored()))
    finally:
        _warn(in_order(list(dict.fromkeys(found))), events)
    unused = set[str].intersection(*(set(one.plan.unused_args) for one in prepared))
    if unused:
        events.emit(ArgsUnused(tuple(sorted(unused))))
    if found and any(one.plan.checks.fail for one in prepared):
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


def _image(
    finished: Finished, platform: Platform, request: Request, max_mtime: int | None, cache: StepCache, events: Events
) -> tuple[Platform, Image, int]:
    """What becomes of a finished stage, and how many of its layers are the base's."""
    image, inherited = finished.image, finished.inherited
    if request.platforms:
        # As BuildKit has it: what was asked for is what the image says, whatever the last FROM.
        image = replace(image, platform=platform)
    if request.squash != "no":
        inherited = inherited if request.squash == "own" else 0
        image = Squash(inherited, request.compression, max_mtime).apply(image, cache, events)
    image = packed(image, inherited, request.packing, request.compression, cache.store, events)
    return platform, image.with_config(_labelled(image.config, request.labels)), inherited


def _labelled(config: RunConfig, labels: Mapping[str, str]) -> RunConfig:
    return replace(config, labels={**config.labels, **labels})


def _store(images: Sequence[tuple[Platform, Image, int]], request: Request, store: Store, events: Events) -> Product:
    built: list[BuiltImage] = []
    for platform, image, inherited in images:
        manifest = put_manifest(store, image, platform, request.annotations)
        built.append(BuiltImage(platform, image, manifest, remember(store, manifest.digest), inherited))
    index: Descriptor | None = None
    if request.makes_index:
        index = put_index(store, [Member(one.manifest, one.platform) for one in built], request.annotations)
    product = Product(tuple(built), index)
    for name in request.names:
        store.tag(name, product.descriptor, None if index is not None else built[0].image.platform)
    _tell(product, request, store, events)
    return product


def _tell(product: Product, request: Request, store: Store, events: Events) -> None:
    names = tuple(name.familiar() for name in request.names)
    for one in product.images:
        layers = one.image.layers
        events.emit(
            ImageStored(
                manifest=str(one.manifest.digest),
                config=str(one.config),
                layers=len(layers),
                size=sum(layer.descriptor.size for layer in layers),
                names=names if product.index is None else (),
                layout=store.directory,
                platform=str(one.platform),
            )
        )
    if product.index is not None:
        platforms = tuple(str(one.platform) for one in product.images)
        events.emit(IndexStored(str(product.index.digest), platforms, names, store.directory))
