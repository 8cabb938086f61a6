"""prune: what goes, what stays, and that nobody loses what he uses."""

import multiprocessing
import os
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from fswatch_builder.errors import StoreError
from fswatch_builder.model.digest import Digest
from fswatch_builder.oci.keeping.kept import Kind
from fswatch_builder.oci.keeping.prune import Pruned, Wish, prune
from fswatch_builder.oci.store import Store
from tests.support.stores import NOON, elsewhere, listed, make_image, make_layer, publish, using

KEY, OTHER = Digest.of(b"key"), Digest.of(b"other")
KILO = 1 << 10
EVERYTHING_LOOSE = Wish()


@pytest.fixture
def place(tmp_path: Path) -> str:
    return str(tmp_path / "store")


def fill(place: str) -> None:
    """Two images that share a layer, the layer of a stage, a tree and a mount; nobody uses anything."""
    with Store.open(place) as store:
        make_image(store, b"shared", b"one", name="app:1")
        make_image(store, b"shared", b"two", name="app:2")
        make_image(store, b"unnamed")
        store.memory.record_step(Digest.of(b"named step"), make_layer(store, b"one"), NOON)
        store.memory.record_step(Digest.of(b"stage step"), make_layer(store, b"stage"), NOON)
        store.memory.record_step(Digest.of(b"empty step"), None, NOON)
        publish(store, Kind.TREE, KEY, label="alpine:3")
        publish(store, Kind.MOUNT, KEY, label="/root/.cache")


def run(place: str, wish: Wish = EVERYTHING_LOOSE) -> Pruned:
    with Store.open(place) as store:
        return prune(store, wish)


def names(place: str) -> list[str]:
    with Store.open(place) as store:
        return [image.name.familiar() for image in listed(store)]


def blobs(place: str) -> set[str]:
    return set(os.listdir(os.path.join(place, "blobs", "sha256")))


def used(place: str, when: int, key: Digest | None = None) -> None:
    """Sets the last use of one thing, or of all."""
    with Store.open(place) as store:
        if key is None:
            store.state.change("UPDATE uses SET used = ?", when)
        else:
            store.state.change("UPDATE uses SET used = ? WHERE key = ?", when, key.text)


def steps(place: str) -> set[str]:
    with Store.open(place) as store:
        return {key for (key,) in store.state.rows("SELECT key FROM steps")}


def test_what_no_image_needs_goes_and_images_stay_whole(place: str) -> None:
    fill(place)
    pruned = run(place)
    assert names(place) == ["app:1", "app:2"]
    assert len(blobs(place)) == 7  # two manifests, two configurations, three layers
    with Store.open(place) as store:
        for image in listed(store):
            assert all(store.has(layer.descriptor.digest) for layer in store.load_image(image.digest).layers)
        assert store.kept.things(Kind.TREE) == store.kept.things(Kind.MOUNT) == []
        assert store.memory.step(Digest.of(b"named step")) is not None, "its layer is part of an image"
        assert store.memory.step(Digest.of(b"stage step")) is None
        assert store.memory.step(Digest.of(b"empty step")) is not None, "it takes no space"
    whats = [gone.what for gone in pruned.removed]
    assert {"tree alpine:3", "mount /root/.cache"} < set(whats)
    assert len(whats) == 2 + 4  # of the unnamed image three, and the layer of the stage
    assert pruned.freed == sum(gone.size for gone in pruned.removed) > 0
    assert run(place).removed == ()


def test_with_images_nothing_is_left(place: str) -> None:
    fill(place)
    run(place, Wish(images=True))
    assert names(place) == []
    assert blobs(place) == set()
    assert steps(place) == set()


def test_what_a_build_uses_stays_with_its_image(place: str) -> None:
    fill(place)
    with Store.open(place) as store:
        used_image = next(image.digest for image in listed(store))

    def build(store: Store) -> object:
        store.load_image(used_image)
        store.memory.step(Digest.of(b"stage step"))
        return using(Kind.TREE, KEY)(store)

    with elsewhere(place, build):
        pruned = run(place, Wish(images=True))
        assert names(place) == ["app:1"]
        assert {stays.what for stays in pruned.in_use} > {"image app:1", "tree alpine:3"}
        with Store.open(place) as store:
            assert all(store.has(layer.descriptor.digest) for layer in store.load_image(used_image).layers)
            assert store.memory.step(Digest.of(b"stage step")) is not None
    run(place, Wish(images=True))
    assert blobs(place) == set()


def test_only_what_was_not_used_since(place: str) -> None:
    fill(place)
    used(place, 1000)
    used(place, 3000, KEY)
    pruned = run(place, Wish(before=2000))
    assert {gone.kind for gone in pruned.removed} == {Kind.BLOB}
    with Store.open(place) as store:
        assert [len(store.kept.things(kind)) for kind in (Kind.TREE, Kind.MOUNT)] == [1, 1]
    run(place, Wish(images=True, before=2000))
    assert names(place) == []


def test_the_most_recently_used_stays_up_to_a_size(place: str) -> None:
    with Store.open(place) as store:
        digests = [store.put(bytes([number]) * 100 * KILO) for number in range(4)]
    for number, digest in enumerate(digests):
        used(place, 1000 + number, digest)
    used(place, 999, digests[2])
    run(place, Wish(keep=250 * KILO))
    assert blobs(place) == {digests[1].hex, digests[3].hex}
    assert run(place, Wish(keep=250 * KILO)).removed == ()
    run(place, Wish(keep=0))
    assert blobs(place) == set()


def test_a_layer_goes_with_the_last_image_that_needs_it(place: str) -> None:
    """And is counted once: with the image that goes last of those it is part of."""
    with Store.open(place) as store:
        old = make_image(store, b"s" * 200 * KILO, b"old", name="old")
        new = make_image(store, b"s" * 200 * KILO, b"new", name="new")
    used(place, 1000, old.digest)
    used(place, 2000, new.digest)
    pruned = run(place, Wish(images=True, keep=220 * KILO))
    assert [gone.what for gone in pruned.removed] == ["image old:latest"]
    assert pruned.freed < 50 * KILO
    assert names(place) == ["new:latest"]
    with Store.open(place) as store:
        assert store.has(Digest.of(b"s" * 200 * KILO))


def test_two_names_of_one_image_go_together(place: str) -> None:
    with Store.open(place) as store:
        make_image(store, b"1", name="a")
        make_image(store, b"1", name="b")
    (gone,) = run(place, Wish(images=True)).removed
    assert gone.what == "image a:latest, b:latest"
    assert blobs(place) == set()


def test_rows_that_take_no_space_are_forgotten_after_a_week(place: str) -> None:
    fill(place)
    used(place, 1000)
    with Store.open(place) as store:
        store.memory.note("base", b"old", b"value")
        store.state.change("UPDATE notes SET noted = 1000")
        store.memory.note("base", b"new", b"value")
    run(place)
    assert steps(place) == {Digest.of(b"named step").text}
    with Store.open(place) as store:
        assert store.memory.recall("base", b"old") is None
        assert store.memory.recall("base", b"new") is not None
        assert store.state.rows("SELECT count(*) FROM uses WHERE kind = 'step'") == [(1,)]


def test_an_image_that_others_have_listed_stays(place: str) -> None:
    fill(place)
    with Store.open(place) as store:
        (first, *rest) = store.names.entries()
        unnamed = type(first)(type(first.document)(first.document.media_type, first.document.digest), None, None)
        store.names.write([unnamed, *rest])
    before = blobs(place)
    run(place)
    assert len(before - blobs(place)) == 4


def test_nothing_goes_while_an_image_cannot_be_read(place: str) -> None:
    """What it needs is not known then."""
    fill(place)
    with Store.open(place) as store:
        digest = listed(store)[0].digest
        Path(store.blob_path(digest)).write_bytes(b"damaged")
    before = blobs(place)
    with pytest.raises(StoreError, match="damaged") as caught:
        run(place)
    assert caught.value.hint
    assert blobs(place) == before


def test_nothing_goes_while_nobody_knows_what_a_build_uses(place: str) -> None:
    fill(place)
    with elsewhere(place, lambda store: store.has(Digest.of(b"stage"))):
        for left in Path(place).glob("state.db*"):
            left.unlink()
        with pytest.raises(StoreError, match="nobody knows"):
            run(place)
    run(place)
    assert len(blobs(place)) == 7


def test_a_prune_that_was_killed_leaves_its_grave_to_the_next(place: str) -> None:
    fill(place)
    child = os.fork()
    if child == 0:
        from fswatch_builder import _native

        _native.remove_tree = lambda path: os._exit(9)  # in place of freeing the space
        run(place)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert len(os.listdir(os.path.join(place, "work"))) == 3
    Store.open(place).close()
    assert os.listdir(os.path.join(place, "work")) == [".lock"]


def _prune_or_build(place: str, number: int, together: Barrier, results: "multiprocessing.Queue[str]") -> None:
    try:
        together.wait(60)
        for turn in range(10):
            with Store.open(place) as store:
                if number < 2:
                    prune(store, Wish(images=True))
                else:
                    manifest = make_image(store, b"shared", str(number * turn).encode(), name=f"app{number}")
                    for layer in store.load_image(manifest.digest).layers:
                        store.read(layer.descriptor.digest)
        results.put("")
    except BaseException as error:
        results.put(repr(error))
        raise


def test_two_prunes_beside_two_builds(place: str) -> None:
    context = multiprocessing.get_context("fork")
    together, results = context.Barrier(4), context.Queue()
    Store.open(place).close()
    processes = [
        context.Process(target=_prune_or_build, args=(place, number, together, results)) for number in range(4)
    ]
    for process in processes:
        process.start()
    assert [results.get(timeout=120) for _ in processes] == [""] * 4
    for process in processes:
        process.join()


@pytest.fixture
def store(place: str) -> Iterator[Store]:
    with Store.open(place) as store:
        yield store


def test_what_was_discarded_goes(store: Store) -> None:
    with store.kept.use(Kind.TREE, KEY):
        publish(store, Kind.TREE, KEY)
        store.kept.discard(Kind.TREE, KEY)
    home = os.path.dirname(store.kept.path(Kind.TREE, KEY))
    store.close()
    assert len(os.listdir(home)) == 1
    run(store.directory)
    assert os.listdir(home) == []
