"""Taking names from images: what goes with the last of them."""

import os
from pathlib import Path

import pytest

from fswatch_builder.model.digest import Digest
from fswatch_builder.oci.keeping.untag import Untagged, untag
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.store import Store
from tests.support.stores import NOON, elsewhere, listed, make_image, make_layer


@pytest.fixture
def place(tmp_path: Path) -> str:
    return str(tmp_path / "store")


def remove(place: str, name: str) -> Untagged:
    with Store.open(place) as store:
        entries = [entry for entry in store.names.entries() if entry.name == Reference.parse(name)]
        return untag(store, entries, {entry.digest for entry in entries})


def blobs(place: str) -> set[str]:
    return set(os.listdir(os.path.join(place, "blobs", "sha256")))


def test_a_name_goes_and_the_image_stays_while_it_has_another(place: str) -> None:
    with Store.open(place) as store:
        make_image(store, b"1", name="a")
        manifest = make_image(store, b"1", name="b")
    before = blobs(place)
    assert remove(place, "a") == Untagged((), (), ())
    assert blobs(place) == before
    assert remove(place, "b").gone == (manifest.digest,)
    assert blobs(place) == set()


def test_what_another_image_needs_stays(place: str) -> None:
    with Store.open(place) as store:
        make_image(store, b"shared", b"1", name="a")
        other = make_image(store, b"shared", b"2", name="b")
    removed = remove(place, "a")
    assert len(removed.freed) == 3
    with Store.open(place) as store:
        assert all(store.has(layer.descriptor.digest) for layer in store.load_image(other.digest).layers)


def test_what_cached_steps_and_running_builds_need_stays(place: str) -> None:
    with Store.open(place) as store:
        make_image(store, b"cached", b"used", b"free", name="a")
        store.memory.record_step(Digest.of(b"key"), make_layer(store, b"cached"), NOON)
    cached, used, free = Digest.of(b"cached"), Digest.of(b"used"), Digest.of(b"free")
    with elsewhere(place, lambda store: store.has(used)):
        removed = remove(place, "a")
    assert set(removed.kept) == {cached, used}
    assert free in removed.freed
    assert blobs(place) == {cached.hex, used.hex}
    with Store.open(place) as store:
        assert store.memory.step(Digest.of(b"key")) is not None


def test_a_damaged_image_can_be_removed(place: str) -> None:
    """Its name; what its blobs were is not known."""
    with Store.open(place) as store:
        manifest = make_image(store, b"1", name="a")
        Path(store.blob_path(manifest.digest)).unlink()
    assert remove(place, "a").freed == ()
    with Store.open(place) as store:
        assert listed(store) == []
