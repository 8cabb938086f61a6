"""``fswatch-builder images`` and ``load``: what is in the store, and getting something into it."""

import os
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer

from fswatch_builder.cli import options, values
from fswatch_builder.cli.failure import reported
from fswatch_builder.cli.render import size_text
from fswatch_builder.errors import UsageError
from fswatch_builder.model.image import Descriptor
from fswatch_builder.oci.media_types import OCI_MANIFEST
from fswatch_builder.oci.store import Store, StoredImage

Archive = Annotated[str, typer.Argument(metavar="FILE", help="The archive; its kind is told by its content.")]


@reported
def images_command(store: options.StoreDirectory = None) -> None:
    """List the images of the local store."""
    with Store.open(values.store_directory(store)) as opened:
        for line in table(opened.images()):
            print(line)


@reported
def load_command(
    file: Archive,
    tag: options.Tags = None,
    platform: options.PlatformName = None,
    store: options.StoreDirectory = None,
) -> None:
    """Load an archive of images into the local store.

    The archive is an OCI one, or one that docker save wrote. Its images keep the names they have in it; --tag names an
    image too.

    \b
    Example:
      fswatch-builder load --tag base:1 base.tar
    """  # noqa: D301 - the escape keeps the lines as they are
    from fswatch_builder.oci.archive import load_archive

    wanted = values.platform(platform)
    names = values.references(tag or ())
    if not os.path.exists(file):
        raise UsageError(f"there is no file {file}")
    with Store.open(values.store_directory(store)) as opened:
        loaded = load_archive(opened, file, wanted)
        if names and len(loaded) > 1:
            raise UsageError(
                f"{file} holds {len(loaded)} images", hint="without --tag they get the names they have in it"
            )
        for digest, found in loaded:
            image = opened.load_image(digest)
            manifest = Descriptor(OCI_MANIFEST, digest, opened.size(digest))
            own = [name for text in found if (name := values.known_reference(text)) is not None]
            for name in dict.fromkeys((*names, *own)):
                opened.tag(name, manifest, image.platform)
                print(f"loaded {name.familiar()}  {digest}")
            if not names and not own:
                print(f"loaded {digest}, which has no name: give it one with --tag")


def table(stored: Sequence[StoredImage]) -> list[str]:
    """Lines with aligned columns, a heading first."""
    rows = [("NAME", "DIGEST", "CREATED", "SIZE", "PLATFORM")]
    rows += [
        (image.name.familiar(), image.digest.hex[:12], _when(image.created), size_text(image.size), str(image.platform))
        for image in stored
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _when(moment: datetime | None) -> str:
    return "unknown" if moment is None else moment.strftime("%Y-%m-%d %H:%M")
