"""Writing a built image to where ``--output`` says, and checking before the build that it can be."""

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fswatch_builder.build.events import Events, OutputWritten, WorkStarted
from fswatch_builder.build.output.spec import (
    ArchiveOutput,
    EngineOutput,
    ImageOutput,
    LayoutOutput,
    Output,
    StoreOutput,
    TarOutput,
    TreeOutput,
)
from fswatch_builder.build.output.variants import Packing, packed
from fswatch_builder.build.product import Product, put_index, put_manifest
from fswatch_builder.errors import OutputError, UsageError
from fswatch_builder.oci.index import Member
from fswatch_builder.oci.output import NamedImage, check_directory, write_archive, write_directory
from fswatch_builder.oci.store import Store
from fswatch_builder.oci.whole import check_writable

if TYPE_CHECKING:
    from fswatch_builder.build.request import Request


def common_packing(outputs: Sequence[Output]) -> Packing:
    """What all outputs of images agree on, else nothing: then each gets its own. Raises UsageError where the build
    itself would have to differ.
    """
    packings = [output.packing for output in outputs if not isinstance(output, TreeOutput | TarOutput)]
    wishes = {packing.rewrite_timestamp for packing in packings} - {None}
    if len(wishes) > 1:
        raise UsageError(
            "outputs disagree about rewrite-timestamp", hint="it changes the layers themselves: build twice"
        )
    rewrite = next(iter(wishes), None)
    if packings and all(packing == packings[0] for packing in packings):
        return packings[0]
    return Packing(rewrite_timestamp=rewrite)


def check_outputs(outputs: Sequence[Output], store: str, *, terminal: bool, index: bool) -> None:
    """What can be known beforehand: better told before the build than after it. ``terminal``: standard output is one;
    ``index``: several images are built.

    Raises UsageError, OutputError.
    """
    if sum(destination(output) == "-" for output in outputs) > 1:
        raise UsageError("two outputs go to standard output", hint="give all but one of them dest=PATH")
    _check_apart(outputs)
    for output in outputs:
        if index:
            _check_index(output)
        match output:
            case ArchiveOutput(dest=dest) | TarOutput(dest=dest):
                if dest == "-" and terminal:
                    raise UsageError("an archive is not written to a terminal", hint="redirect it, or give dest=PATH")
                check_writable(dest)
            case TreeOutput():
                _check_tree(output, store)
            case LayoutOutput(dest=dest):
                check_directory(dest, store)
            case EngineOutput():
                _engine()
            case StoreOutput():
                pass


def _check_apart(outputs: Sequence[Output]) -> None:
    """Of two outputs with one destination the second would replace the first. A device takes both."""
    taken: dict[str, str] = {}
    for output in outputs:
        match output:
            case ArchiveOutput(dest=dest) | TarOutput(dest=dest) | LayoutOutput(dest=dest) | TreeOutput(dest=dest):
                place = os.path.realpath(dest)
            case StoreOutput() | EngineOutput():
                continue
        if place in taken and dest != "-" and not place.startswith("/dev/"):
            raise UsageError(f"two outputs go to {taken[place]}", hint="give each its own dest=PATH")
        taken[place] = dest


def _check_index(output: Output) -> None:
    """As docker buildx: what an engine loads is one image, unless it says otherwise."""
    match output:
        case ArchiveOutput(form="docker") | LayoutOutput(form="docker"):
            raise UsageError(
                "type=docker is for one platform: its manifest.json has no index of several", hint="give type=oci"
            )
        case EngineOutput():
            from fswatch_builder.build.output.engine import takes_index

            if not takes_index(_engine()):
                raise UsageError(
                    f"{_engine()} does not take images for several platforms at once",
                    hint="Docker does with the containerd image store; else load one, or write type=oci,dest=PATH",
                )
        case _:
            pass


def _check_tree(output: TreeOutput, store: str) -> None:
    dest, store = os.path.realpath(output.dest), os.path.realpath(store)
    if _is_within(dest, store) or _is_within(store, dest):
        raise OutputError(f"{output.dest} holds the local store, or is in it", hint="give another directory")
    if os.path.lexists(dest) and not os.path.isdir(dest):
        raise OutputError(f"{output.dest} is no directory", hint="remove it, or give another destination")
    above = dest
    while not os.path.lexists(above):
        above = os.path.dirname(above)
    if not os.access(above, os.W_OK | os.X_OK, effective_ids=True):
        raise OutputError(
            f"cannot write to {output.dest}: {above} may not be written to", hint="choose a place you may write to"
        )
    here = os.path.realpath(os.getcwd())
    if output.mode == "delete" and (dest == here or not _is_within(dest, here)):
        raise UsageError(
            f"mode=delete removes all else in {dest}, which is not below the working directory",
            hint="go to the directory above it first",
        )


def _is_within(path: str, directory: str) -> bool:
    return os.path.commonpath([path, directory]) == directory


def _engine() -> str:
    from fswatch_builder.build.output.engine import find_engine

    engine = find_engine()
    if engine is None:
        raise UsageError(
            "neither docker nor podman is installed, to load the image into",
            hint="give type=docker a dest=PATH for an archive to load elsewhere",
        )
    return engine


def destination(output: Output) -> str:
    """Where an output goes, for messages: a path, ``-``, or the name of an engine."""
    match output:
        case StoreOutput():
            return "the store"
        case EngineOutput():
            return _engine()
        case _:
            return output.dest


def how_to_run(output: Output, name: str) -> str | None:
    """The command that runs the image from there; None where none does."""
    match output:
        case ArchiveOutput(form="docker", dest=dest) if dest != "-":
            return f"docker load -i {dest} && docker run --rm {name}"
        case ArchiveOutput(dest=dest) if dest != "-":
            return f"podman run --rm oci-archive:{dest}"
        case LayoutOutput():
            return f"podman run --rm oci:{output.dest}"
        case EngineOutput():
            return f"{_engine()} run --rm {name}"
        case _:
            return None


def kind(output: Output) -> str:
    """The type of an output, for messages."""
    match output:
        case StoreOutput():
            return "image"
        case EngineOutput():
            return "docker"
        case TreeOutput():
            return "local"
        case TarOutput():
            return "tar"
        case _:
            return output.form


def write_outputs(
    product: Product, request: "Request", outputs: Sequence[Output], store: Store, events: Events
) -> None:
    """Writes them one after the other. Raises OutputError, StoreError; those before the one that failed stay."""
    for output in outputs:
        started = time.monotonic()
        where = "standard output" if destination(output) == "-" else destination(output)
        events.emit(WorkStarted(f"writing {kind(output)} output to {where}"))
        match output:
            case TarOutput():
                from fswatch_builder.build.output.filesystem import write_tar

                write_tar(store, product, output)
            case TreeOutput():
                from fswatch_builder.build.output.filesystem import write_tree

                write_tree(store, product, output)
            case _:
                _write_image(output, product, _named(product, request, output, store, events), store)
        events.emit(OutputWritten(kind(output), where, time.monotonic() - started))


def _named(product: Product, request: "Request", output: ImageOutput, store: Store, events: Events) -> NamedImage:
    descriptor = product.descriptor
    if output.packing != request.packing:
        members = []
        for one in product.images:
            variant = packed(one.image, one.inherited, output.packing, request.compression, store, events)
            members.append(Member(put_manifest(store, variant, one.platform, request.annotations), one.platform))
        single = product.index is None
        descriptor = members[0].manifest if single else put_index(store, members, request.annotations)
    return NamedImage(descriptor, tuple(dict.fromkeys((*request.names, *output.names))))


def _write_image(output: ImageOutput, product: Product, image: NamedImage, store: Store) -> None:
    match output:
        case StoreOutput():
            platform = product.images[0].image.platform if product.index is None else None
            for name in image.names:
                store.tag(name, image.manifest, platform)
        case ArchiveOutput():
            write_archive(store, [image], output.form, output.dest)
        case LayoutOutput():
            write_directory(store, [image], output.form, output.dest)
        case EngineOutput():
            from fswatch_builder.build.output.engine import load

            load(_engine(), store, [image])
