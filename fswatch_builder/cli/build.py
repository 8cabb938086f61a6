"""``fswatch-builder build``."""

import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from fswatch_builder.build.builder import build
from fswatch_builder.build.contexts import Context, Fetching, open_context, temporary
from fswatch_builder.build.events import Events
from fswatch_builder.build.mounting import Lent
from fswatch_builder.build.output.variants import AS_IT_IS, Packing
from fswatch_builder.build.planner import CONTEXT_EPOCH, EPOCH
from fswatch_builder.build.product import BuiltImage, Product
from fswatch_builder.build.request import Request
from fswatch_builder.cli import options, run_options, values
from fswatch_builder.cli.failure import reported
from fswatch_builder.cli.render import counted, renderer
from fswatch_builder.errors import BuildError, UsageError
from fswatch_builder.model.quantity import size_text
from fswatch_builder.oci.compression import Compression
from fswatch_builder.oci.store import Store
from fswatch_builder.runtime import kernel

if TYPE_CHECKING:
    from fswatch_builder.build.output.spec import Output


@reported
def build_command(
    context: options.Context = ".",
    file: options.File = None,
    tag: options.Tags = None,
    target: options.Target = None,
    build_arg: options.BuildArgs = None,
    build_arg_file: options.BuildArgFiles = None,
    build_context: options.BuildContexts = None,
    ignorefile: options.IgnoreFile = None,
    label: options.Labels = None,
    annotation: options.Annotations = None,
    timestamp: options.Timestamp = None,
    secret: run_options.Secrets = None,
    ssh: run_options.Ssh = None,
    allow: run_options.Allow = None,
    network: run_options.NetworkName = "default",
    add_host: run_options.AddHost = None,
    shm_size: run_options.ShmSize = None,
    ulimit: run_options.Ulimits = None,
    output: options.Outputs = None,
    load: options.Load = False,
    squash: options.SquashOwn = False,
    squash_all: options.SquashAll = False,
    platform: options.Platforms = None,
    tracker: options.TrackerName = "auto",
    hash_mode: options.HashMode = "evidence",
    audit: options.Audit = False,
    compression: options.CompressionName = None,
    unpack_limit: options.UnpackLimit = "",
    no_cache: options.NoCache = False,
    no_cache_filter: options.NoCacheFilter = None,
    pull: options.Pull = False,
    no_kept_bases: options.NoKeptBases = False,
    max_parallelism: options.AtOnce = None,
    iidfile: options.IIDFile = None,
    metadata_file: options.MetadataFile = None,
    progress: options.ProgressKind = "auto",
    quiet: options.Quiet = False,
    store: options.StoreDirectory = None,
    call: options.Call = "build",
    check: options.Check = False,
    provenance: options.Provenance = None,
    sbom: options.SBOM = None,
    usual: options.Usual = False,  # noqa: ARG001 - accepted for what it asks is done anyway
) -> None:
    """Build an image from a Dockerfile.

    \b
    Examples:
      fswatch-builder build .
      fswatch-builder build -t app:1 --target test --build-arg VERSION=1 .
      fswatch-builder build --build-context base=./rootfs -o type=oci,dest=app.tar .
      fswatch-builder build --platform linux/amd64,linux/arm64 -t app:1 -o type=oci,dest=app.tar .
      fswatch-builder build --check .
    """  # noqa: D301 - the escape keeps the lines as they are
    if quiet:
        progress = "quiet"
    values.choice("--progress", progress, ("auto", "tty", "plain", "quiet", "rawjson", "none"))
    outputs = _outputs(output or (), load=load)
    packing = _packing(outputs)
    if squash and squash_all:
        raise UsageError("--squash and --squash-all exclude each other")
    values.no_attestation("--provenance", provenance)
    values.no_attestation("--sbom", sbom)
    if no_cache and no_cache_filter:
        raise UsageError("--no-cache and --no-cache-filter: give one of them")
    file = None if file is None else values.after_equals(file)
    arguments = [line for path in build_arg_file or () for line in values.lines_of(path)]
    request = Request(
        context="",
        dockerfile="",
        platforms=values.platforms(platform or ()),
        target=target,
        names=values.references(tag or ()),
        build_args=values.build_args((*arguments, *(build_arg or ())), os.environ),
        contexts=values.build_contexts(build_context or ()),
        labels=values.labels(label or ()),
        annotations=values.annotations(annotation or ()),
        ignorefile=ignorefile,
        epoch=values.epoch("--timestamp", timestamp),
        tracker=values.tracker(tracker),
        hash_mode=values.hash_mode(hash_mode),
        audit=audit,
        use_cache=not no_cache,
        uncached_stages=values.stage_names(no_cache_filter or ()),
        refresh=pull,
        keep_bases=not no_kept_bases,
        at_once=len(os.sched_getaffinity(0)) if max_parallelism is None else max_parallelism,
        compression=_compression(compression, packing),
        packing=packing,
        squash="all" if squash_all else "own" if squash else "no",
        sandbox=run_options.sandbox(
            network=network, allow=allow or (), add_host=add_host or (), shm_size=shm_size, ulimit=ulimit or ()
        ),
        lent=Lent(
            secrets=run_options.secrets(secret or (), os.environb),
            agents=run_options.agents(ssh or run_options.agents_of(context, os.environ), os.environ),
        ),
    )
    limits = values.unpack_limits(unpack_limit)
    dated = request.build_args.get(EPOCH) == CONTEXT_EPOCH
    fetching = Fetching(request.keeps_git_dir, request.lent.credentials, limits, dated)
    if check or call != "build":
        from fswatch_builder.cli.call import Call, answer

        asked = Call.parse(call, check)
        shown = renderer(progress, sys.stderr)
        try:
            with open_context(context, file, sys.stdin.buffer, temporary, shown, fetching) as found:
                status = answer(asked, _in_context(request, found), values.store_directory(store))
        finally:
            shown.close()
        sys.stdout.flush()
        raise SystemExit(status)
    kernel.check_files()
    with Store.open(values.store_directory(store)) as opened:
        opened.limits = limits
        _check(outputs, request, opened)
        shown = renderer(progress, sys.stderr)
        try:
            with open_context(context, file, sys.stdin.buffer, opened.workspace, shown, fetching) as found:
                request = _in_context(request, found)
                built = _build(request, opened, shown)
            _write_outputs(built, request, outputs, opened, shown)
        finally:
            shown.close()
        if metadata_file is not None:
            _write_whole(metadata_file, json.dumps(_metadata(built, request), indent=2) + "\n")
        if iidfile is not None:
            _write_whole(iidfile, str(built.id))
        # An output that goes to standard output has it to itself.
        aside = sys.stderr if any(_takes_stdout(one) for one in outputs) else sys.stdout
        if progress == "quiet":
            print(built.id, file=aside)
        elif progress not in ("rawjson", "none"):
            print(summary(built, outputs, request, opened.directory), file=aside)


def _in_context(request: Request, found: Context) -> Request:
    return replace(
        request,
        context=found.directory,
        origin=found.origin,
        dockerfile=found.dockerfile,
        text=found.text,
        ignores=found.ignores,
        context_epoch=found.made,
    )


def _build(request: Request, store: Store, events: Events) -> Product:
    try:
        return build(request, store, events)
    except BuildError as error:
        error.text = request.text
        raise


def _outputs(texts: Sequence[str], *, load: bool) -> "list[Output]":
    """What the options ask for; --load is short for a type."""
    if not (texts or load):
        return []
    from fswatch_builder.build.output.spec import EngineOutput, parse

    outputs = [parse(values.after_equals(text)) for text in texts]
    if load and not any(isinstance(output, EngineOutput) for output in outputs):
        outputs.append(parse("type=docker"))
    return outputs


def _packing(outputs: "Sequence[Output]") -> Packing:
    if not outputs:
        return AS_IT_IS
    from fswatch_builder.build.output.write import common_packing

    return common_packing(outputs)


def _compression(given: str | None, packing: Packing) -> Compression:
    if given is not None:
        return Compression(values.choice("--compression", given, [known.value for known in Compression]))
    return packing.compression or Compression.GZIP


def _check(outputs: "Sequence[Output]", request: Request, store: Store) -> None:
    if outputs:
        from fswatch_builder.build.output.write import check_outputs

        check_outputs(outputs, store.directory, terminal=sys.stdout.isatty(), index=request.makes_index)


def _write_outputs(built: Product, request: Request, outputs: "Sequence[Output]", store: Store, events: Events) -> None:
    if outputs:
        from fswatch_builder.build.output.write import write_outputs

        write_outputs(built, request, outputs, store, events)


def _takes_stdout(output: "Output") -> bool:
    from fswatch_builder.build.output.write import destination

    return destination(output) == "-"


def _metadata(built: Product, request: Request) -> dict[str, object]:
    """With the members that docker buildx writes."""
    top = built.descriptor
    described: dict[str, object] = {"mediaType": top.media_type, "digest": str(top.digest), "size": top.size}
    if top.annotations:
        described["annotations"] = dict(sorted(top.annotations.items()))
    found: dict[str, object] = {
        **({"containerimage.config.digest": str(built.id)} if built.index is None else {}),
        "containerimage.descriptor": described,
        "containerimage.digest": str(top.digest),
    }
    if request.names:
        found["image.name"] = ",".join(str(name) for name in request.names)
    return found


def _write_whole(path: str, text: str) -> None:
    from fswatch_builder.oci.whole import whole_file

    with whole_file(os.path.abspath(path)) as file:  # no name is standard output
        file.write(text.encode())


def summary(built: Product, outputs: "Sequence[Output]", request: Request, layout: str) -> str:
    """What was built, where it lies, how to run it."""
    names = [name.familiar() for name in request.names]
    return "\n".join(
        (
            *(_of_image(built.images[0]) if built.index is None else _of_index(built)),
            f"names     {', '.join(names) or 'none; give one with -t NAME'}",
            f"layout    {layout} (OCI image layout)",
            f"to run    {_how_to_run(names[0] if names else None, outputs, index=built.index is not None)}",
        )
    )


def _of_image(one: BuiltImage) -> tuple[str, ...]:
    return (f"image     {one.manifest.digest}", f"image ID  {one.config}", f"content   {_content(one)}")


def _of_index(built: Product) -> tuple[str, ...]:
    width = max(len(str(one.platform)) for one in built.images)
    lines = (f"{one.platform!s:{width}}  {one.manifest.digest}  {_content(one)}" for one in built.images)
    return (f"index     {built.descriptor.digest}", *(f"image     {line}" for line in lines))


def _content(one: BuiltImage) -> str:
    layers = one.image.layers
    return f"{counted(len(layers), 'layer')}, {size_text(sum(layer.descriptor.size for layer in layers))}"


def _how_to_run(name: str | None, outputs: "Sequence[Output]", *, index: bool) -> str:
    if outputs:
        from fswatch_builder.build.output.write import how_to_run

        for output in outputs:
            line = how_to_run(output, name or "IMAGE-ID")
            if line is not None:
                return line
    again = f"build again with -t {name or 'NAME'}"
    if index:
        return f"{again} -o type=oci,dest=image.tar, then podman run oci-archive:image.tar"
    return f"{again} --load, or with -o type=docker,dest=image.tar and docker load"
