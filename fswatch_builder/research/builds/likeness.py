"""Whether two images are the same, and where not."""

import os

from fswatch_builder.changes.images import compare_images
from fswatch_builder.model.digest import Digest
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci.archive import import_archive
from fswatch_builder.oci.store import Store

_TIMES = frozenset({"mtime"})
"""Two builds of one command are done at two times."""


def differing(store_directory: str, one: str, other: str) -> tuple[str, ...]:
    """The paths in which two images of a store differ, times aside, each with what differs. BuildError."""
    with Store.open(store_directory) as store:
        found = compare_images(store, store.load_image(Digest(one)), store.load_image(Digest(other)))
    return tuple(
        f"/{os.fsdecode(change.path)}: {' '.join((change.kind, *sorted(change.why)))}"
        for change in found.changes
        if not change.why or not change.why <= _TIMES
    )


def taken_in(store_directory: str, archive: str) -> str:
    """The manifest, in the store, of another builder's image. BuildError."""
    with Store.open(store_directory) as store:
        return str(import_archive(store, archive, Platform.host()))
