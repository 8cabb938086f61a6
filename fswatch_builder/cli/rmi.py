"""``fswatch-builder rmi``: names are taken from images, and images removed that have none left."""

import sys
from typing import Annotated

import typer

from fswatch_builder.cli import options, values
from fswatch_builder.cli.failure import message, reported
from fswatch_builder.errors import BaseImageError, BuildError
from fswatch_builder.model.digest import Digest
from fswatch_builder.oci.keeping.reserve import give_up_reserve
from fswatch_builder.oci.keeping.untag import untag
from fswatch_builder.oci.lookup import find_image, find_index
from fswatch_builder.oci.names import Entry
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.store import Store

Images = Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Names, digests, or IDs or the start of one.")]
Force = Annotated[
    bool,
    typer.Option("--force", "-f", help="Remove an image by its ID with all its names; an unknown image is no failure."),
]


@reported
def rmi_command(images: Images, force: Force = False, store: options.StoreDirectory = None) -> None:
    """Remove images from the local store.

    A name is taken from its image; an image without a name left is removed, with all that no other image, no running
    build and no cached step needs. What cached steps need goes with prune.

    \b
    Examples:
      fswatch-builder rmi app:1 app:2
      fswatch-builder rmi -f 3c5f0a7d21b4
    """  # noqa: D301 - the escape keeps the lines as they are
    failed: BuildError | None = None
    directory = values.store_directory(store)
    for text in images:
        try:
            for line in remove(directory, text, force):
                print(line)
        except BaseImageError as error:
            if failed is not None or force:
                print(message(error), file=sys.stderr)
            failed = failed or error
    if failed is not None and not force:
        raise failed


def remove(directory: str, text: str, force: bool) -> list[str]:
    """One image, told as docker does. Raises BaseImageError for one that is not there, or that needs ``force``."""
    with Store.open(directory) as store:
        entries, manifests = _meant(store, text, force)
    give_up_reserve(directory)  # now: who closes a store sees to another
    with Store.open(directory) as store:  # anew: looking at an image keeps it
        removed = untag(store, entries, manifests)
    lines = [f"Untagged: {entry.name.familiar()}" for entry in entries if entry.name is not None]
    lines += [f"Deleted: {digest}" for digest in (*removed.gone, *(d for d in removed.freed if d not in removed.gone))]
    return lines


def _meant(store: Store, text: str, force: bool) -> tuple[list[Entry], set[Digest]]:
    """Names to remove, and the manifests that are meant."""
    entries = _named(store, text)
    if entries:
        return entries, {entry.digest for entry in entries}
    named = find_index(store, text)
    if named is None:
        image = find_image(store, text)
        if image.index is not None:
            raise BaseImageError(
                f"{text} cannot be removed alone: it is the image for {image.platform} of {image.shown()}",
                hint="remove the name, and with it the images for all platforms",
            )
        named = image.manifest
    entries = [entry for entry in store.names.entries() if entry.digest == named]
    repositories = {(entry.name.registry, entry.name.repository) for entry in entries if entry.name is not None}
    if len(repositories) > 1 and not force:
        shown = ", ".join(entry.name.familiar() for entry in entries if entry.name is not None)
        raise BaseImageError(
            f"{text} cannot be removed by its ID: it is in several repositories, as {shown}",
            hint="remove its names one by one, or all of them with --force",
        )
    return entries, {named}


def _named(store: Store, text: str) -> list[Entry]:
    """All platforms of a name."""
    try:
        name = Reference.parse(text)
    except ValueError:
        return []
    return [entry for entry in store.names.entries() if entry.name == name]
