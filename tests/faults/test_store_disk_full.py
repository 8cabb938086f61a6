"""A full disk: one clear error, a store that verifies, and room can be made in it."""

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fswatch_builder.errors import OutputError
from fswatch_builder.model.digest import Digest
from fswatch_builder.oci.blobs import write_errors
from fswatch_builder.oci.keeping.kept import Kind
from fswatch_builder.oci.keeping.prune import Wish, prune
from fswatch_builder.oci.keeping.reserve import give_up_reserve
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.store import Store
from tests.support.filesystems import mounted
from tests.support.store_churn import check, make_thing, verified
from tests.support.stores import AMD64, NOON, listed, make_image, make_layer

pytestmark = pytest.mark.root


@pytest.fixture(params=["tmpfs", "ext2"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with mounted(request.param, tmp_path, "size=8m" if request.param == "tmpfs" else "") as disk:
        yield str(disk / "store")


def fill_up(place: str, left: int = 0) -> None:
    """To the last byte but ``left``."""
    with open(os.path.join(os.path.dirname(place), "ballast"), "wb", buffering=0) as file:
        chunk = bytes(1 << 20)
        while chunk:
            try:
                if file.write(chunk) < len(chunk):
                    raise OSError
            except OSError:
                chunk = chunk[: len(chunk) // 2]
        file.truncate(file.tell() - left)


def use_it_up(store: Store, chosen: random.Random) -> None:
    """Builds without end."""
    while True:
        content = chosen.randbytes(300_000)
        make_image(store, content, name=f"app{chosen.randrange(3)}")
        store.memory.record_step(Digest.of(content), make_layer(store, content[:1000]), NOON)
        key = Digest.of(content)
        with store.kept.use(Kind.TREE, key), write_errors(store.directory):
            make_thing(store, Kind.TREE, key)


@pytest.mark.parametrize("place", ["tmpfs"], indirect=True)
def test_a_disk_that_fills_up_is_one_clear_error(place: str) -> None:
    chosen = random.Random(1)
    with (
        pytest.raises(OutputError, match=r"cannot write to .*: No space left on device") as caught,
        Store.open(place) as store,
    ):
        use_it_up(store, chosen)
    assert caught.value.hint is not None
    assert "free some space" in caught.value.hint
    give_up_reserve(place)
    with Store.open(place) as store:
        assert verified(store).is_clean
        prune(store, Wish(images=True))
    check(place)


@pytest.mark.parametrize(
    "write",
    [
        lambda store: store.put(b"x" * 100_000),
        lambda store: make_image(store, b"x" * 100_000, name="new"),
        lambda store: store.tag(Reference.parse("x" * 200), store.put_image(store.load_image(_app(store))), AMD64),
        lambda store: [store.memory.record_step(Digest.of(bytes([n])), None, NOON) for n in range(200)],
    ],
    ids=["blob", "image", "name", "steps"],
)
def test_nothing_is_half_written_to_a_full_disk(place: str, write: Callable[[Store], object]) -> None:
    with Store.open(place) as store:
        make_image(store, b"1", name="app")
        make_image(store, b"no image needs it" * 10_000)
    fill_up(place)
    with Store.open(place) as store, refused():
        write(store)
    with Store.open(place) as store:
        assert [image.name.familiar() for image in listed(store)] >= ["app:latest"], "it can be read"
    give_up_reserve(place)
    with Store.open(place) as store:
        assert prune(store, Wish()).freed > 0, "room can be made"
    os.unlink(os.path.join(os.path.dirname(place), "ballast"))
    check(place)


@contextmanager
def refused() -> Iterator[None]:
    """For want of space, if at all."""
    try:
        yield
    except OutputError as error:
        if "No space left" not in error.what or "free some space" not in (error.hint or ""):
            raise


def _app(store: Store) -> Digest:
    digest = store.find(Reference.parse("app"), AMD64)
    assert digest is not None
    return digest
