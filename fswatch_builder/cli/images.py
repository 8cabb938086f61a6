"""``fswatch-builder images``: what is in the store."""

import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from fswatch_builder.cli import image_options, options, values
from fswatch_builder.cli.ago import ago, local_time
from fswatch_builder.cli.failure import reported
from fswatch_builder.cli.image_filters import Filters, age
from fswatch_builder.cli.listing import Row, form_of, lines
from fswatch_builder.cli.opening import open_store
from fswatch_builder.cli.printable import printable
from fswatch_builder.model.platform import Platform
from fswatch_builder.model.quantity import size_text
from fswatch_builder.oci.lookup import LocalImage, list_images
from fswatch_builder.oci.reference import Reference

NONE: Final = "<none>"
HEADINGS: Final = {
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "Digest": "DIGEST",
    "ID": "IMAGE ID",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "Size": "SIZE",
    "Platform": "PLATFORM",
}

Repository = Annotated[
    str | None,
    typer.Argument(
        metavar="[REPOSITORY[:TAG]]", help="Only images of this name; * and ? stand for any characters but a slash."
    ),
]
Everything = Annotated[bool, typer.Option("--all", "-a", help="Always so: accepted as docker has it.", hidden=True)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print image IDs alone.")]
Digests = Annotated[bool, typer.Option("--digests", help="Show digests of manifests too.")]
FilterTexts = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        "-f",
        metavar="KEY=VALUE",
        help="reference=PATTERN, dangling=true, label=K[=V], before=IMAGE or since=IMAGE. Repeatable.",
    ),
]


@reported
def images_command(
    repository: Repository = None,
    quiet: Quiet = False,
    digests: Digests = False,
    no_trunc: image_options.NoTrunc = False,
    filters: FilterTexts = None,
    format_: image_options.Format = None,
    json_: image_options.Json = False,
    store: options.StoreDirectory = None,
    everything: Everything = False,  # noqa: ARG001 - what docker hides, images of steps, are not made
) -> None:
    """List the images of the local store, newest first.

    SIZE is that of the layers as they are stored, compressed. IMAGE ID is the digest of the configuration, as docker's.

    \b
    Examples:
      fswatch-builder images
      fswatch-builder images 'app*'
      fswatch-builder images --format '{{.Repository}}:{{.Tag}} {{.Size}}'
      fswatch-builder images --json | jq -r .Digest
    """  # noqa: D301 - the escape keeps the lines as they are
    with open_store(values.store_directory(store)) as opened:
        listing = list_images(opened)
        wanted = Filters.parse(opened, repository, filters or ())
        kept = sorted(filter(wanted.take, listing.images), key=age)
        now = datetime.now(UTC)
        rows = [row for image in kept for row in _rows(image, wanted.names(image), no_trunc, now)]
        columns = ["Repository", "Tag", *(["Digest"] if digests else []), "ID", "CreatedSince", "Size"]
        if any(image.platform != Platform.host() for image in kept):
            columns.append("Platform")
        for line in lines(rows, HEADINGS, columns, form_of(format_, json_, quiet)):
            print(line)
        for error in listing.damaged:
            print(f"WARN: {printable(error.what)}", file=sys.stderr)


def _rows(image: LocalImage, names: Sequence[Reference], no_trunc: bool, now: datetime) -> Iterator[Row]:
    """One for each name; one for an image that has none."""
    for name in names or (None,):
        yield {
            "Repository": name.familiar_repository() if name else NONE,
            "Tag": (name.tag or NONE) if name else NONE,
            "Digest": str(image.manifest),
            "ID": str(image.config) if no_trunc else image.config.hex[:12],
            "CreatedSince": ago(image.created, now),
            "CreatedAt": local_time(image.created),
            "Size": size_text(image.size),
            "Platform": str(image.platform),
        }
