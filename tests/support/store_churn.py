"""A user of a store that does what builds, removals and prunes do, at random and without end; and what has to be true
of a store that such users were killed over.
"""

import hashlib
import os
import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from fswatch_builder.model.digest import DiffID, Digest
from fswatch_builder.oci.keeping.kept import DISCARDED, Kind
from fswatch_builder.oci.keeping.prune import Wish, prune
from fswatch_builder.oci.keeping.untag import untag
from fswatch_builder.oci.keeping.verify import Report, verify
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.store import Store
from tests.support.stores import AMD64, NOON, listed, make_image, make_layer

_KEYS = [Digest.of(bytes([number])) for number in range(6)]
_FILES = 5


def churn(directory: str, seed: int) -> None:
    """Until it is killed. An AssertionError: something that was promised does not hold."""
    chosen = random.Random(seed)
    while True:
        with Store.open(directory) as store:
            for _ in range(chosen.randrange(1, 6)):
                chosen.choice(ACTIONS)(store, chosen)


def _blob(store: Store, chosen: random.Random) -> None:
    digest = store.put(chosen.randbytes(chosen.randrange(200_000)))
    assert store.has(digest)


def _half_a_blob(store: Store, chosen: random.Random) -> None:
    with store.new_blob() as blob:
        blob.write(chosen.randbytes(100_000))


def _image(store: Store, chosen: random.Random) -> None:
    contents = [bytes([chosen.randrange(8)]) * 1000 for _ in range(chosen.randrange(1, 4))]
    name = f"app{chosen.randrange(4)}"
    manifest = make_image(store, *contents, name=name)
    image = store.load_image(manifest.digest)
    for layer, content in zip(image.layers, contents, strict=True):
        assert store.read(layer.descriptor.digest) == content, "what we have written ourselves went away"


def _base(store: Store, chosen: random.Random) -> None:
    digest = store.find(Reference.parse(f"app{chosen.randrange(4)}"), AMD64)
    if digest is not None:
        for layer in store.load_image(digest).layers:
            assert store.read(layer.descriptor.digest), "a base that was found went away"


def _step(store: Store, chosen: random.Random) -> None:
    key = chosen.choice(_KEYS)
    hit = store.memory.step(key)
    if hit is None:
        layer = make_layer(store, chosen.randbytes(1000)) if chosen.random() < 0.8 else None
        store.memory.record_step(key, layer, NOON)
    elif hit.layer is not None:
        assert store.read(hit.layer.descriptor.digest), "the layer of a hit went away"


def _thing(store: Store, chosen: random.Random) -> None:
    kind, key = chosen.choice([Kind.TREE, Kind.MOUNT]), chosen.choice(_KEYS)
    with store.kept.use(kind, key) as found:
        path = found.path or make_thing(store, kind, key)
        try:
            opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:  # another has discarded it: for us it stays, under another name
            names = os.listdir(store.kept.home(kind))
            assert any(name.startswith(DISCARDED) for name in names), "a thing went away while it was used"
            return
        try:
            check_thing(opened, key)
        finally:
            os.close(opened)
    if chosen.random() < 0.1:
        with store.kept.turn(kind, key), store.kept.use(kind, key) as found:
            if found.path is not None:
                store.kept.discard(kind, key)


def make_thing(store: Store, kind: Kind, key: Digest) -> str:
    """Publishes one that ``check_thing`` finds whole."""
    with store.workspace() as draft:
        directory = Path(draft, "thing")
        directory.mkdir()
        for number in range(_FILES):
            (directory / str(number)).write_text(key.hex)
        return store.kept.publish(kind, key, str(directory), label="random")


def check_thing(opened: int, key: Digest) -> None:
    """A thing is there whole. What was opened stays, as what is mounted does."""
    assert sorted(os.listdir(opened)) == [str(number) for number in range(_FILES)]
    for number in range(_FILES):
        with open(str(number), opener=lambda name, flags: os.open(name, flags, dir_fd=opened)) as file:
            assert file.read() == key.hex


def _untag(store: Store, chosen: random.Random) -> None:
    name = Reference.parse(f"app{chosen.randrange(4)}")
    entries = [entry for entry in store.names.entries() if entry.name == name]
    untag(store, entries, {entry.digest for entry in entries})


def _prune(store: Store, chosen: random.Random) -> None:
    before = time.time() if chosen.random() < 0.3 else None
    keep = chosen.randrange(500_000) if chosen.random() < 0.3 else None
    prune(store, Wish(images=chosen.random() < 0.3, before=before, keep=keep))


def _remove(store: Store, chosen: random.Random) -> None:
    store.kept.remove(chosen.choice([Kind.TREE, Kind.MOUNT]), chosen.choice(_KEYS))


Action = Callable[[Store, random.Random], None]
ACTIONS: list[Action] = [
    _blob, _half_a_blob, _image, _image, _base, _step, _step, _thing, _thing, _untag, _prune, _remove,
]  # fmt: skip


def check(directory: str) -> None:
    """What is visible is whole, whoever was killed; nothing else is left behind. Nobody uses the store."""
    with Store.open(directory) as store:
        assert store.notices == ()
        for thing in store.kept.things(Kind.BLOB):
            assert hashlib.sha256(Path(thing.path).read_bytes()).hexdigest() == thing.key.hex
            assert not thing.in_use
        for kind in (Kind.TREE, Kind.MOUNT):
            for thing in store.kept.things(kind):
                opened = os.open(thing.path, os.O_RDONLY | os.O_DIRECTORY)
                check_thing(opened, thing.key)
                os.close(opened)
                assert not thing.in_use
        for stored in listed(store):
            image = store.load_image(stored.digest)
            assert all(store.has(layer.descriptor.digest) for layer in image.layers)
        for key, diff_id in store.state.rows("SELECT key, diff_id FROM steps"):
            hit = store.memory.step(Digest(key))
            assert hit is None or hit.layer is None or hit.layer.diff_id == DiffID(diff_id)
    database = sqlite3.connect(os.path.join(directory, "state.db"))
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()
    with Store.open(directory) as store:
        report = verified(store)
        assert report.is_clean, report
        assert verified(store).swept == []
    assert os.listdir(os.path.join(directory, "work")) == [".lock"]
    sessions = os.path.join(directory, "sessions")
    assert not os.path.exists(sessions) or os.listdir(sessions) == []


def verified(store: Store) -> Report:
    """What ``prune --verify`` finds."""
    run = verify(store, {})
    while True:
        try:
            next(run)
        except StopIteration as end:
            report: Report = end.value
            return report
