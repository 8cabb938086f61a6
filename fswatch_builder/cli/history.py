"""``fswatch-builder history``: how an image came to be."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from fswatch_builder.cli import image_options, options, values
from fswatch_builder.cli.ago import ago, local_time
from fswatch_builder.cli.failure import reported
from fswatch_builder.cli.listing import Row, form_of, lines
from fswatch_builder.cli.opening import open_store
from fswatch_builder.model.digest import Digest
from fswatch_builder.model.image import History, Image
from fswatch_builder.model.quantity import size_text
from fswatch_builder.oci.lookup import find_image

HEADINGS: Final = {
    "ID": "IMAGE",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "CreatedBy": "CREATED BY",
    "Size": "SIZE",
    "Comment": "COMMENT",
    "DiffID": "DIFF ID",
}
_MISSING: Final = "<missing>"
_SHORT: Final = 45  # docker's width of CREATED BY

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print IDs alone.")]
Human = Annotated[
    bool, typer.Option("--human/--no-human", "-H", help="Sizes and times for people, or in bytes and as RFC 3339.")
]


@reported
def history_command(
    image: image_options.Image,
    no_trunc: image_options.NoTrunc = False,
    quiet: Quiet = False,
    human: Human = True,
    format_: image_options.Format = None,
    json_: image_options.Json = False,
    platform: image_options.PlatformName = None,
    store: options.StoreDirectory = None,
) -> None:
    """Show the steps that an image was made by, the last one first.

    SIZE is that of the step's layer as it is stored, compressed. Only the last line has an image ID: what was before is
    no image of its own.

    \b
    Examples:
      fswatch-builder history app:1
      fswatch-builder history --no-trunc --format '{{.Size}} {{.CreatedBy}}' app:1
    """  # noqa: D301 - the escape keeps the lines as they are
    with open_store(values.store_directory(store)) as opened:
        found = find_image(opened, image, image_options.platform(platform))
        read = opened.load_image(found.manifest)
    rows = list(_rows(found.config, read, no_trunc=no_trunc, human=human))
    columns = ("ID", "CreatedSince" if human else "CreatedAt", "CreatedBy", "Size", "Comment")
    for line in lines(rows, HEADINGS, columns, form_of(format_, json_, quiet)):
        print(line)


def _rows(config: Digest, image: Image, *, no_trunc: bool, human: bool) -> Iterator[Row]:
    history = image.history or tuple(History() for _ in image.layers)
    layers = list(image.layers)
    now = datetime.now(UTC)
    for position, line in enumerate(reversed(history)):
        layer = None if line.empty_layer else layers.pop()
        size = layer.descriptor.size if layer else 0
        created_by = " ".join(line.created_by.split())
        yield {
            "ID": (str(config) if no_trunc else config.hex[:12]) if position == 0 else _MISSING,
            "CreatedSince": ago(line.created, now),
            "CreatedAt": local_time(line.created) if human else _rfc3339(line.created),
            "CreatedBy": created_by if no_trunc or len(created_by) <= _SHORT else created_by[: _SHORT - 1] + "…",
            "Size": size_text(size) if human else str(size),
            "Comment": line.comment,
            "DiffID": str(layer.diff_id) if layer else "",
        }


def _rfc3339(moment: datetime | None) -> str:
    return "N/A" if moment is None else moment.isoformat().replace("+00:00", "Z")
