"""``fswatch-builder save``: images of the store in one archive."""

import sys
from collections.abc import Iterator, Sequence
from typing import Annotated, Final

import typer

from fswatch_builder.cli import image_options, options, values
from fswatch_builder.cli.failure import reported
from fswatch_builder.cli.opening import open_store
from fswatch_builder.cli.patience import patience
from fswatch_builder.errors import UsageError
from fswatch_builder.model.digest import Digest
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci.family import oci_index, oci_manifest
from fswatch_builder.oci.lookup import find_image, find_index
from fswatch_builder.oci.output import NamedImage, write_archive, write_directory
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.store import Store

_DIRECTORIES: Final = ("oci", "oci-dir")
_FORMS: Final = ("docker-archive", "oci-archive", *_DIRECTORIES)

Output = Annotated[
    str,
    typer.Option("--output", "-o", metavar="PATH", help="[default: standard output]", show_default=False),
]
Form = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="FORM",
        help="docker-archive (also an OCI archive, for who reads those), oci-archive, or oci: a directory.",
    ),
]


@reported
def save_command(
    images: image_options.Images,
    output: Output = "-",
    form: Form = "docker-archive",
    platform: image_options.PlatformName = None,
    store: options.StoreDirectory = None,
) -> None:
    """Write images to one archive, for load, docker load, podman or skopeo.

    A name without a tag means all tags of it, as with docker; an ID goes without a name. A name of images for several
    platforms is written with all of them, as an index, unless --platform chooses. What images share is there once. The
    archive is whole, or not there.

    \b
    Examples:
      fswatch-builder save -o app.tar app:1 app:2
      fswatch-builder save app:1 | docker load
      fswatch-builder save --format oci -o layout app:1
    """  # noqa: D301 - the escape keeps the lines as they are
    values.choice("--format", form, _FORMS)
    dest = values.after_equals(output)
    if not dest:
        raise UsageError("--output: the path is missing", hint="- is standard output, as if it were left out")
    wanted = image_options.platform(platform)
    if dest == "-" and form in _DIRECTORIES:
        raise UsageError(
            f"--format {form} is a directory, which does not fit through standard output", hint="use -o DIR"
        )
    if dest == "-" and sys.stdout.isatty():
        raise UsageError("an archive is not written to a terminal", hint="use -o FILE, or redirect it")
    with open_store(values.store_directory(store)) as opened:
        chosen = _chosen(opened, images, wanted)
        with patience(f"saving {', '.join(images)}"):
            if form in _DIRECTORIES:
                write_directory(opened, chosen, "oci", dest)
            else:
                write_archive(opened, chosen, "docker" if form == "docker-archive" else "oci", dest)


def _chosen(store: Store, texts: Sequence[str], platform: Platform | None) -> list[NamedImage]:
    """Each image or index once, in the order in which they were asked for, under all names that were asked for."""
    names: dict[Digest, dict[Reference, None]] = {}
    indexes: set[Digest] = set()
    for text in texts:
        for spelled, name in _spelled(store, text):
            index = find_index(store, spelled) if platform is None else None
            digest = index or find_image(store, spelled, platform).manifest
            if index is not None:
                indexes.add(index)
            known = names.setdefault(digest, {})
            if name is not None:
                known[name] = None
    return [
        NamedImage(oci_index(store, digest) if digest in indexes else oci_manifest(store, digest), tuple(known))
        for digest, known in names.items()
    ]


def _spelled(store: Store, text: str) -> Iterator[tuple[str, Reference | None]]:
    """What one argument means, each with the name that it goes by."""
    reference = values.known_reference(text)
    known = {entry.name for entry in store.names.entries() if entry.name is not None}
    if reference is not None and "@" not in text and ":" not in text.rpartition("/")[2]:
        repository = (reference.registry, reference.repository)
        tags = sorted(name for name in known if (name.registry, name.repository) == repository)
        if tags:
            yield from ((str(name), name) for name in tags)
            return
    yield text, reference if reference in known and "@" not in text else None
