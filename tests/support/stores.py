"""Stores, things to put into them, and other processes that use them."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from fswatch_builder.model.digest import DiffID, Digest
from fswatch_builder.model.image import Descriptor, History, Image, Layer, RunConfig
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci.compression import Compression
from fswatch_builder.oci.keeping.kept import Kind
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.store import Store

AMD64 = Platform("linux", "amd64")
NOON = datetime(2024, 1, 2, tzinfo=UTC)


def make_layer(store: Store, content: bytes = b"tar") -> Layer:
    """One whose diffID and digest are those of ``content``."""
    digest = store.put(content)
    return Layer(Descriptor(Compression.NONE.layer_media_type, digest, len(content)), DiffID(digest.text))


def make_image(store: Store, *contents: bytes, name: str | None = None) -> Descriptor:
    """An image of layers with these contents, and a configuration that depends on them."""
    layers = tuple(make_layer(store, content) for content in contents)
    image = Image(AMD64, RunConfig(cmd=("sh",)), layers, tuple(History(created_by="RUN x") for _ in layers), NOON)
    manifest = store.put_image(image)
    if name is not None:
        store.tag(Reference.parse(name), manifest, AMD64)
    return manifest


class Listed(NamedTuple):
    """A name in a store, and what it stands for on one platform."""

    name: Reference
    digest: Digest
    platform: Platform


def listed(store: Store) -> list[Listed]:
    """All names, sorted, of an index for each image of it."""
    return [
        Listed(entry.name, digest, platform)
        for entry in store.names.entries()
        if entry.name is not None
        for platform, digest in store.images_of(entry)
    ]


def publish(store: Store, kind: Kind, key: Digest, content: str = "content", label: str = "") -> str:
    """A directory with one file."""
    with store.kept.use(kind, key), store.workspace() as draft:
        directory = Path(draft, "thing")
        directory.mkdir()
        (directory / "file").write_text(content)
        return store.kept.publish(kind, key, str(directory), label)


def using(kind: Kind, key: Digest) -> Callable[[Store], object]:
    """For ``elsewhere``: uses it to the end."""

    def action(store: Store) -> object:
        block = store.kept.use(kind, key)
        block.__enter__()
        return block

    return action


@contextmanager
def elsewhere(directory: str, action: Callable[[Store], object]) -> Iterator[int]:
    """Another process has opened the store, done ``action`` and waits; its number. It ends in good order."""
    with _process(directory, action) as (pid, release):
        yield pid
        os.write(release, b"x")


@contextmanager
def killed_elsewhere(directory: str, action: Callable[[Store], object]) -> Iterator[int]:
    """As ``elsewhere``, and it is killed."""
    with _process(directory, action) as (pid, _):
        yield pid
        os.kill(pid, signal.SIGKILL)


@contextmanager
def _process(directory: str, action: Callable[[Store], object]) -> Iterator[tuple[int, int]]:
    ready, announce = os.pipe()
    wait, release = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(ready)
            os.close(release)
            with Store.open(directory) as store:
                held = action(store)
                os.write(announce, b"x")
                os.read(wait, 1)
                del held
        finally:
            os._exit(0)
    os.close(announce)
    os.close(wait)
    try:
        assert os.read(ready, 1) == b"x", "the other process failed"
        yield child, release
    finally:
        os.close(ready)
        os.close(release)
        os.waitpid(child, 0)
