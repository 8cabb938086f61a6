"""One store, used by the threads of one build, beside another program that removes what nobody uses."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from fswatch_builder.model.digest import DiffID, Digest
from fswatch_builder.model.image import Descriptor, Layer
from fswatch_builder.oci import media_types
from fswatch_builder.oci.keeping.kept import Kind
from fswatch_builder.oci.store import Store

THREADS = 6
ROUNDS = 12
NOW = datetime.fromtimestamp(1_000_000_000, UTC)


def blob(number: int) -> bytes:
    return b"blob %d" % number * 50


def work(store: Store, begin: threading.Barrier, counter: Path) -> None:
    begin.wait()
    for number in range(ROUNDS):
        digest = store.put(blob(number))
        diff_id = DiffID(digest.text)
        layer = Layer(Descriptor(media_types.OCI_LAYER, digest, len(blob(number))), diff_id)
        store.memory.record_step(Digest.of(b"step %d" % number), layer, NOW)
        found = store.memory.step(Digest.of(b"step %d" % number))
        assert found is not None
        assert found.layer == layer
        assert store.read(digest) == blob(number)
        store.memory.note("kind", b"key", b"%d" % number)
        assert store.memory.recall("kind", b"key") is not None
        key = Digest.of(b"tree %d" % number)
        with store.kept.use(Kind.TREE, key) as tree:
            path = tree.path
            if path is None:
                with store.workspace() as draft:
                    os.mkdir(f"{draft}/tree")
                    Path(draft, "tree/f").write_bytes(blob(number))
                    path = store.kept.publish(Kind.TREE, key, f"{draft}/tree")
            assert Path(path, "f").read_bytes() == blob(number)
        with store.kept.turn(Kind.MOUNT, Digest.of(b"counter")):
            counter.write_text(str(int(counter.read_text()) + 1))


def remove(directory: str, ended: threading.Event) -> None:
    with Store.open(directory) as other:
        while not ended.is_set():
            for kind in (Kind.BLOB, Kind.TREE):
                for thing in other.kept.things(kind):
                    other.kept.remove(kind, thing.key)


def test_what_threads_do_with_one_store_is_whole_and_nothing_is_left(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    directory = str(tmp_path / "store")
    begin, ended = threading.Barrier(THREADS, timeout=20), threading.Event()
    with Store.open(directory) as store, ThreadPoolExecutor(THREADS + 1) as threads:
        remover = threads.submit(remove, directory, ended)
        try:
            for done in [threads.submit(work, store, begin, counter) for _ in range(THREADS)]:
                done.result()
        finally:
            ended.set()
        remover.result()
        assert all(store.read(Digest.of(blob(number))) == blob(number) for number in range(ROUNDS))
    assert counter.read_text() == str(THREADS * ROUNDS)
    assert os.listdir(f"{directory}/work") == [".lock"]
    with Store.open(directory) as store:
        assert store.state.rows("SELECT * FROM leases") == []
        assert store.state.rows("SELECT * FROM sessions") == []
