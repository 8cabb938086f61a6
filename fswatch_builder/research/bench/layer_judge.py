"""What the layers of another builder hold, against what a command really changed.

A layer need not be ours to be right: it may be one or several, with or without what leads to a change. So its list of
names is judged, below the tree alone. A path that it lists was read when the layer was made.
"""

import os
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from fswatch_builder.errors import BuildError
from fswatch_builder.model.image import Layer
from fswatch_builder.oci.compression import decompressed
from fswatch_builder.oci.decoding import CompressionError
from fswatch_builder.oci.store import Store
from fswatch_builder.oci.tarindex import TarError, members

_GONE, _OPAQUE = ".wh.", ".wh..wh..opq"
_DELETED = "deleted"


class Listed(Struct, frozen=True):
    """Paths below the tree: those that are there, those that are said to be gone, directories whose earlier content is.

    A path of one that is gone, and is there again, is in both.
    """

    there: frozenset[bytes]
    gone: frozenset[bytes]
    emptied: frozenset[bytes]


def listed(store: Store, layers: Sequence[Layer], tree: str) -> Listed:
    """Of all these layers together. BuildError."""
    there: set[bytes] = set()
    gone: set[bytes] = set()
    emptied: set[bytes] = set()
    for name in (name for layer in layers for name in _names(store, layer, tree)):
        above, _, last = name.rpartition("/")
        if last == _OPAQUE:
            emptied.add(os.fsencode(above))
        elif last.startswith(_GONE):
            gone.add(os.fsencode(os.path.join(above, last.removeprefix(_GONE))))
        else:
            there.add(os.fsencode(name))
    return Listed(frozenset(there), frozenset(gone), frozenset(emptied))


def _names(store: Store, layer: Layer, tree: str) -> Iterator[str]:
    blob = layer.descriptor
    try:
        with (
            decompressed(store.blob_path(blob.digest), blob=blob) as descriptor,
            open(descriptor, "rb", closefd=False) as file,
        ):
            for member in members(file):
                name = member.name.removeprefix("/").removeprefix("./").rstrip("/")
                if name.startswith(f"{tree}/"):
                    yield name.removeprefix(f"{tree}/")
    except (TarError, CompressionError) as error:
        raise BuildError(f"a layer of it cannot be read: {error}") from error


def judged(found: Listed, truth: Mapping[bytes, str]) -> tuple[int, int]:
    """How many of the changes (path to kind) are not listed, and how many paths are though they did not change.

    Directories that lead to something listed are none of these.
    """
    missed = sum(not _tells(found, path, kind) for path, kind in truth.items())
    leading = {above for path in (*found.there, *found.gone) for above in _above(path)}
    changed = {path for path, kind in truth.items() if kind != _DELETED}
    spurious = len(found.there - changed - leading)
    return missed, spurious + sum(not _is_gone(path, truth) for path in found.gone - changed)


def _tells(found: Listed, path: bytes, kind: str) -> bool:
    if kind != _DELETED:
        return path in found.there
    above = list(_above(path))
    says_so = path in found.gone or not found.gone.isdisjoint(above) or not found.emptied.isdisjoint(above)
    return says_so and path not in found.there


def _is_gone(path: bytes, truth: Mapping[bytes, str]) -> bool:
    """It, or something above it."""
    return any(truth.get(it) not in (None, "modified") for it in (path, *_above(path)))


def _above(path: bytes) -> Iterator[bytes]:
    while path := path.rpartition(b"/")[0]:
        yield path
