"""Digests beside the copying: nothing damaged is taken for whole, no thread is left, memory is bounded."""

import errno
import io
import os
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from fswatch_builder.errors import StoreError
from fswatch_builder.model.image import Descriptor
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci import checking as module
from fswatch_builder.oci.checking import Checker, checking
from fswatch_builder.oci.layout import import_layout
from fswatch_builder.oci.output import NamedImage, stream_archive, write_archive, write_directory
from fswatch_builder.oci.store import Store
from tests.support.images import make_image, write_layout

LAYERS = 3


@pytest.fixture
def manifest(store: Store, tmp_path: Path) -> Descriptor:
    image = make_image([{"f": os.urandom(1_200_000)} for _ in range(LAYERS)])
    digest = import_layout(store, str(write_layout(tmp_path / "source", {"x": image})), Platform("linux", "amd64"))
    return store.put_image(store.load_image(digest))


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert [one for one in threading.enumerate() if one.name == "check"] == []


def damage(store: Store, manifest: Descriptor, number: int) -> str:
    path = store.blob_path(store.load_image(manifest.digest).layers[number].descriptor.digest)
    with open(path, "r+b") as blob:
        blob.seek(1_100_000)
        blob.write(b"damage")
    return path


@pytest.mark.parametrize("number", range(LAYERS))
def test_damage_in_any_layer_leaves_no_archive_and_no_directory(
    store: Store, manifest: Descriptor, tmp_path: Path, number: int
) -> None:
    path = damage(store, manifest, number)
    (tmp_path / "out").mkdir()
    for write, form in ((write_archive, "a.tar"), (write_directory, "layout")):
        with pytest.raises(StoreError) as caught:
            write(store, [NamedImage(manifest)], "oci", str(tmp_path / "out" / form))
        assert path in caught.value.what
    assert os.listdir(tmp_path / "out") == []


@pytest.mark.parametrize("number", range(LAYERS))
def test_a_stream_with_damage_has_no_end(store: Store, manifest: Descriptor, number: int) -> None:
    whole = io.BytesIO()
    stream_archive(store, [NamedImage(manifest)], "oci", whole)
    damage(store, manifest, number)
    sink = io.BytesIO()
    with pytest.raises(StoreError, match="is damaged"):
        stream_archive(store, [NamedImage(manifest)], "oci", sink)
    assert len(sink.getvalue()) <= len(whole.getvalue()) - 1024


class Full(io.BytesIO):
    """Takes a few writes."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error
        self.left = 5

    def write(self, content: object, /) -> int:
        self.left -= 1
        if self.left == 0:
            raise self.error
        return 0


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt(), BrokenPipeError()])
def test_whatever_ends_the_writing_ends_the_thread(store: Store, manifest: Descriptor, error: BaseException) -> None:
    with pytest.raises(type(error)):
        stream_archive(store, [NamedImage(manifest)], "oci", Full(error))


def test_known_damage_ends_the_writing_of_what_comes_after() -> None:
    def feed() -> None:
        with checking() as checker:
            checker.end("one", sha256(b"other").hexdigest())
            # Once so many were taken, the one before them was looked at.
            for _ in range(module._BEHIND + 3):
                checker.add(b"more")
            checker.close()

    with pytest.raises(StoreError, match="one is damaged"):
        feed()


def test_the_first_damaged_blob_is_told() -> None:
    with checking() as checker:
        for name in ("one", "two"):
            checker.add(name.encode())
            checker.end(name, sha256(b"other").hexdigest())
        with pytest.raises(StoreError, match="one is damaged"):
            checker.settled()


def test_a_slow_digest_holds_up_the_copying(monkeypatch: pytest.MonkeyPatch) -> None:
    held, most, turn = 0, 0, threading.Lock()

    class Piece(bytes):
        def __init__(self, *_: object) -> None:
            nonlocal held, most
            with turn:
                held += 1
                most = max(most, held)

        def __del__(self) -> None:
            nonlocal held
            with turn:
                held -= 1

    goes_on = threading.Event()

    class Slow:
        def update(self, _: bytes) -> None:
            goes_on.wait()

        def hexdigest(self) -> str:
            return "right"

    monkeypatch.setattr(module, "sha256", Slow)
    checker = Checker()

    def feed() -> None:
        for _ in range(50):
            checker.add(Piece(b"x"))

    feeding = threading.Thread(target=feed)
    feeding.start()
    goes_on.set()
    feeding.join()
    checker.end("blob", "right")
    checker.settled()
    assert most <= module._BEHIND + 3
    assert held == 0
