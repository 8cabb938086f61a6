"""What a layer of another builder is held to be worth: given ones, of which everything is known."""

import io
import tarfile
from pathlib import Path

import pytest

from fswatch_builder.errors import BuildError
from fswatch_builder.model.digest import DiffID
from fswatch_builder.model.image import Descriptor, Layer
from fswatch_builder.oci.store import Store
from fswatch_builder.research.bench.layer_judge import Listed, judged, listed


def of(*there: bytes, gone: tuple[bytes, ...] = (), emptied: tuple[bytes, ...] = ()) -> Listed:
    return Listed(frozenset(there), frozenset(gone), frozenset(emptied))


@pytest.mark.parametrize(
    ("found", "truth", "missed", "spurious"),
    [
        (of(), {}, 0, 0),
        (of(b"a/f"), {b"a/f": "modified"}, 0, 0),
        (of(b"a", b"a/f"), {b"a/f": "modified"}, 0, 0),
        (of(b"a", b"a/f"), {b"a": "modified", b"a/f": "added"}, 0, 0),
        (of(b"a"), {b"a/f": "modified"}, 1, 1),
        (of(b"a/f", b"b/g", b"b"), {b"a/f": "modified"}, 0, 1),
        (of(b"a", gone=(b"a/f",)), {b"a": "modified", b"a/f": "deleted"}, 0, 0),
        (of(gone=(b"a",)), {b"a/f": "deleted"}, 0, 1),
        (of(gone=(b"a/f",)), {b"a": "deleted"}, 1, 0),
        (of(), {b"a/f": "deleted"}, 1, 0),
        (of(b"a/f"), {b"a/f": "deleted"}, 1, 1),
        (of(b"a", gone=(b"a/f",)), {}, 0, 1),
        (of(b"a", b"a/g", emptied=(b"a",)), {b"a/f": "deleted", b"a/g": "added"}, 0, 0),
        (of(b"a", gone=(b"a",)), {b"a": "replaced"}, 0, 0),
        (of(b"a"), {b"a": "replaced"}, 0, 0),
    ],
)
def test_what_a_layer_lists_is_held_against_what_changed(
    found: Listed, truth: dict[bytes, str], missed: int, spurious: int
) -> None:
    assert judged(found, truth) == (missed, spurious)


def layer(store: Store, *members: str, content: bytes | None = None) -> Layer:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name in members:
            member = tarfile.TarInfo(name)
            member.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            tar.addfile(member)
    blob = packed.getvalue() if content is None else content
    digest = store.put(blob)
    descriptor = Descriptor("application/vnd.oci.image.layer.v1.tar+gzip", digest, len(blob))
    return Layer(descriptor, DiffID(digest.text))


def test_names_of_all_layers_are_read_and_those_beside_the_tree_left_out(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "store")) as store:
        layers = [
            layer(store, "tree/", "./tree/a/", "tree/a/new", "etc/resolv.conf", "treetop"),
            layer(store, "tree/.wh.gone", "tree/a/.wh..wh..opq", "/tree/b"),
        ]
        found = listed(store, layers, "tree")
    assert found == of(b"a", b"a/new", b"b", gone=(b"gone",), emptied=(b"a",))


def test_a_layer_that_cannot_be_read_is_no_layer_without_changes(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "store")) as store:
        broken = layer(store, content=b"\x1f\x8b" + b"no layer" * 100)
        with pytest.raises(BuildError, match="cannot be read"):
            listed(store, [broken], "tree")
