"""``fswatch-builder load``: an archive's images into the store."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Annotated, BinaryIO, Final

import typer

from fswatch_builder.cli import image_options, options, values
from fswatch_builder.cli.failure import reported
from fswatch_builder.cli.opening import open_store
from fswatch_builder.cli.patience import patience
from fswatch_builder.cli.printable import printable_name
from fswatch_builder.errors import BaseImageError, UsageError
from fswatch_builder.model import platform as model
from fswatch_builder.model.digest import Digest
from fswatch_builder.model.image import Descriptor
from fswatch_builder.oci import documents
from fswatch_builder.oci.blobs import write_errors
from fswatch_builder.oci.lookup import remember
from fswatch_builder.oci.media_types import OCI_INDEX, OCI_MANIFEST
from fswatch_builder.oci.reading import reading
from fswatch_builder.oci.store import Store

_CHUNK: Final = 1 << 20

Archive = Annotated[
    str | None,
    typer.Argument(metavar="[FILE]", help="The archive; its kind is told by its content. [default: standard input]"),
]
Input = Annotated[
    str | None, typer.Option("--input", "-i", metavar="FILE", help="The archive, as docker load takes it.")
]
Platform = Annotated[
    str | None,
    typer.Option(
        "--platform",
        metavar="OS/ARCH",
        envvar="FSWATCH_BUILDER_PLATFORM",
        help="Load images for this platform alone. [default: an index whole, else this machine's]",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but what was loaded.")]


@reported
def load_command(
    file: Archive = None,
    input_: Input = None,
    tag: options.Tags = None,
    quiet: Quiet = False,
    platform: Platform = None,
    unpack_limit: options.UnpackLimit = "",
    store: options.StoreDirectory = None,
) -> None:
    """Load an archive of images into the local store.

    The archive is an OCI one, or one that docker save wrote, compressed or not. Its images keep the names they have in
    it; --tag names an image too. An index of images for several platforms is loaded with all of them.

    \b
    Examples:
      fswatch-builder load -i app.tar
      docker save app:1 | fswatch-builder load
      fswatch-builder load --tag base:1 base.tar.gz
    """  # noqa: D301 - the escape keeps the lines as they are
    from fswatch_builder.oci.archive import load_archive

    wanted = image_options.platform(platform)
    limits = values.unpack_limits(unpack_limit)
    names = values.references(tag or ())
    if file is not None and input_ is not None:
        raise UsageError(f"two archives: {file} and {input_}", hint="give FILE or --input FILE")
    path = values.after_equals(input_) if input_ is not None else file
    if path == "-":
        path = None
    if path is not None and not os.path.exists(path):
        raise UsageError(f"there is no file {path}")
    with open_store(values.store_directory(store)) as opened:
        opened.limits = limits
        with patience(f"loading {path or 'standard input'}"), _archive(opened, path) as archive:
            loaded = load_archive(opened, archive, wanted)
        if names and len(loaded) > 1:
            raise UsageError(
                f"{path or 'the archive'} holds {len(loaded)} images",
                hint="without --tag they get the names they have in it",
            )
        for digest, found in loaded:
            manifest, is_for = _loaded(opened, digest)
            own = {text: values.known_reference(text) for text in found}
            every = dict.fromkeys((*names, *(name for name in own.values() if name is not None)))
            for text in (text for text, name in own.items() if name is None and not quiet):
                print(f"note: '{printable_name(text)}', as the archive calls it, is no image's name", file=sys.stderr)
            for name in every:
                opened.tag(name, manifest, is_for)
                print(f"Loaded image: {name.familiar()}")
            if not every:
                print(f"Loaded image ID: {digest if is_for is None else remember(opened, digest)}")
                if not quiet:
                    print("note: it has no name: give it one with --tag", file=sys.stderr)


def _loaded(store: Store, digest: Digest) -> tuple[Descriptor, model.Platform | None]:
    """What the names of it stand for; an index is for no platform of its own."""
    read = documents.read_manifest(store.read(digest), "", f"image {digest}")
    size = store.size(digest)
    if isinstance(read, documents.Index):
        return Descriptor(OCI_INDEX, digest, size), None
    return Descriptor(OCI_MANIFEST, digest, size), store.load_image(digest).platform


@contextmanager
def _archive(store: Store, path: str | None) -> Iterator[str]:
    """A file to read the archive from, more than once. What comes through a pipe is kept for as long as this lasts."""
    name = path or "standard input"
    with _opened(path) as source:
        if source.isatty():
            raise UsageError(f"{name} is a terminal, not an archive", hint="name the archive: -i FILE, or use < FILE")
        if stat.S_ISREG(os.fstat(source.fileno()).st_mode) and os.lseek(source.fileno(), 0, os.SEEK_CUR) == 0:
            yield path or "/dev/stdin"
            return
        with store.workspace() as directory:
            kept = os.path.join(directory, "archive")
            with write_errors(store.directory), open(kept, "xb") as copy:
                while chunk := source.read(_CHUNK):
                    copy.write(chunk)
            try:
                yield kept
            except BaseImageError as error:
                raise BaseImageError(error.what.replace(kept, name), hint=error.hint) from error


def _opened(path: str | None) -> AbstractContextManager[BinaryIO]:
    if path is None:
        return nullcontext(sys.stdin.buffer)
    with reading(path):
        return open(path, "rb")
