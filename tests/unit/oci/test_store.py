"""The local store: whole blobs only, several processes, names, steps, workspaces that outlive no one."""

import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from msgspec.structs import replace

from fswatch_builder.errors import OutputError, StoreError
from fswatch_builder.model.digest import DiffID, Digest
from fswatch_builder.model.image import Descriptor, History, Image, Layer, RunConfig
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci import media_types, workspace
from fswatch_builder.oci.boot import boot_id
from fswatch_builder.oci.compression import Compression
from fswatch_builder.oci.keeping.untag import untag
from fswatch_builder.oci.memory import StepResult
from fswatch_builder.oci.names import Entry
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.store import Store
from tests.support.stores import listed, make_image

AMD64 = Platform("linux", "amd64")
NOON = datetime(2024, 1, 2, tzinfo=UTC)
ARM64 = Platform("linux", "arm64")


def layer(store: Store, content: bytes = b"tar", compression: Compression = Compression.NONE) -> Layer:
    blob = store.put(content + compression.value.encode())
    size = store.size(blob)
    return Layer(Descriptor(compression.layer_media_type, blob, size), DiffID(Digest.of(content).text))


def image(store: Store, platform: Platform = AMD64) -> Image:
    return Image(
        platform,
        RunConfig(cmd=("sh",)),
        (layer(store),),
        (History(created_by="RUN x"),),
        datetime(2024, 1, 2, tzinfo=UTC),
    )


def names_in(directory: str) -> list[str]:
    return sorted(name for name in os.listdir(directory) if name != ".lock")


def test_blobs_are_named_by_their_content(store: Store) -> None:
    digest = store.put(b"hello")
    assert digest == Digest.of(b"hello")
    assert store.has(digest)
    assert store.read(digest) == b"hello"
    assert Path(store.blob_path(digest)).read_bytes() == b"hello"
    assert store.put(b"hello") == digest


def test_a_damaged_blob_is_told(store: Store) -> None:
    digest = store.put(b"hello")
    Path(store.blob_path(digest)).write_bytes(b"HELLO")
    with pytest.raises(StoreError, match="damaged"):
        store.read(digest)


def test_a_large_document_is_not_read_into_memory(store: Store) -> None:
    digest = store.put(b"x" * 1000)
    with pytest.raises(StoreError, match="larger than"):
        store.read(digest, limit=999)


def test_a_missing_blob_is_told(store: Store) -> None:
    with pytest.raises(StoreError, match="missing"):
        store.read(Digest.of(b"never seen"))


def test_an_uncommitted_blob_leaves_nothing(store: Store) -> None:
    with store.new_blob() as blob:
        blob.write(b"half")

    def fail() -> None:
        with store.new_blob() as blob:
            blob.write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert names_in(os.path.join(store.directory, "blobs/sha256")) == []
    store.close()
    assert names_in(os.path.join(store.directory, "work")) == []


def test_a_kill_in_the_middle_of_a_blob_leaves_nothing_visible_and_is_swept(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        with Store.open(str(tmp_path)) as store, store.workspace() as directory, store.new_blob() as blob:
            (Path(directory) / "deep" / "er").mkdir(parents=True)
            blob.write(b"x" * (2 << 20))
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert names_in(str(tmp_path / "blobs/sha256")) == []
    assert len(names_in(str(tmp_path / "work"))) == 4
    with Store.open(str(tmp_path)):
        assert names_in(str(tmp_path / "work")) == []


def test_a_live_workspace_is_never_swept(store: Store) -> None:
    with store.workspace() as directory:
        (Path(directory) / "file").write_text("mine")
        with Store.open(store.directory):
            assert (Path(directory) / "file").read_text() == "mine"
    assert not os.path.exists(directory)


def test_where_machines_share_the_file_system_a_free_lock_alone_sweeps_no_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of another machine's builder, which may live and have lost it. Of one of this machine it does."""
    Store.open(str(tmp_path)).close()
    lock = tmp_path / "work" / "theirs.lock"
    lock.write_text("another boot")
    (tmp_path / "work" / "theirs").mkdir()
    (tmp_path / "work" / "ours.lock").write_text(boot_id())
    (tmp_path / "work" / "ours").mkdir()
    monkeypatch.setattr(workspace, "is_local", lambda _: False)
    Store.open(str(tmp_path)).close()
    assert names_in(str(tmp_path / "work")) == ["theirs", "theirs.lock"]
    os.utime(lock, (1, 1))
    Store.open(str(tmp_path)).close()
    assert names_in(str(tmp_path / "work")) == []
    lock.write_text("another boot")
    (tmp_path / "work" / "theirs").mkdir()
    monkeypatch.undo()
    Store.open(str(tmp_path)).close()
    assert names_in(str(tmp_path / "work")) == [], "before this boot"


def _churn(directory: str, results: "multiprocessing.Queue[str]") -> None:
    try:
        for number in range(12):
            with Store.open(directory) as store, store.workspace() as work:
                (Path(work) / "file").write_text(str(number))
                store.tag(Reference.parse(f"x:{os.getpid()}"), store.put_image(image(store)), AMD64)
                if (Path(work) / "file").read_text() != str(number):
                    raise AssertionError("swept while in use")
        results.put("")
    except BaseException as error:
        results.put(repr(error))
        raise


def test_many_processes_open_sweep_and_write_at_once(tmp_path: Path) -> None:
    results: multiprocessing.Queue[str] = multiprocessing.get_context("fork").Queue()
    processes = [
        multiprocessing.get_context("fork").Process(target=_churn, args=(str(tmp_path), results)) for _ in range(4)
    ]
    for process in processes:
        process.start()
    assert [results.get(timeout=60) for _ in processes] == [""] * 4
    for process in processes:
        process.join()
    with Store.open(str(tmp_path)) as store:
        assert len(listed(store)) == 4
    assert len(json.loads((tmp_path / "index.json").read_text())["manifests"]) == 4
    assert names_in(str(tmp_path / "work")) == []


def test_layers_are_found_by_diff_id_and_compression(store: Store) -> None:
    plain, packed = layer(store), layer(store, compression=Compression.GZIP)
    assert store.memory.layer(plain.diff_id) is None
    store.memory.record_layer(plain)
    store.memory.record_layer(packed)
    assert store.memory.layer(plain.diff_id, Compression.NONE) == plain
    assert store.memory.layer(plain.diff_id, Compression.GZIP) == packed
    assert store.memory.layer(plain.diff_id, Compression.ZSTD) is None
    os.unlink(store.blob_path(plain.descriptor.digest))
    assert store.memory.layer(plain.diff_id, Compression.NONE) is None
    assert store.memory.layer(plain.diff_id) == packed


def test_images_are_stored_named_and_loaded(store: Store) -> None:
    stored = image(store)
    manifest = store.put_image(stored)
    assert store.load_image(manifest.digest) == stored
    name = Reference.parse("app:1")
    store.tag(name, manifest, AMD64)
    assert store.find(name, AMD64) == manifest.digest
    assert store.find(name, ARM64) is None
    assert store.find(Reference.parse("app:2"), AMD64) is None
    assert store.find(Reference.parse(f"app@{manifest.digest}"), AMD64) == manifest.digest
    assert store.find(Reference.parse(f"app@{Digest.of(b'other')}"), AMD64) is None
    assert listed(store) == [(name, manifest.digest, AMD64)]


def test_a_name_moves_and_the_index_says_so(store: Store) -> None:
    first = image(store)
    second = replace(first, config=RunConfig(cmd=("other",)))
    name = Reference.parse("app")
    store.tag(name, store.put_image(first), AMD64)
    store.tag(name, manifest := store.put_image(second), AMD64)
    index = json.loads(Path(store.directory, "index.json").read_text())
    (entry,) = index["manifests"]
    assert entry["digest"] == str(manifest.digest)
    assert entry["mediaType"] == media_types.OCI_MANIFEST
    assert entry["annotations"]["io.containerd.image.name"] == "docker.io/library/app:latest"


def test_steps_remember_a_layer_or_that_there_was_none(store: Store) -> None:
    key, empty = Digest.of(b"key"), Digest.of(b"empty")
    made = layer(store)
    assert store.memory.step(key) is None
    store.memory.record_step(key, made, NOON)
    store.memory.record_step(empty, None, NOON)
    assert store.memory.step(key) == StepResult(made, NOON)
    assert store.memory.step(empty) == StepResult(None, NOON)
    os.unlink(store.blob_path(made.descriptor.digest))
    assert store.memory.step(key) is None


def test_notes_are_bytes(store: Store) -> None:
    assert store.memory.recall("content", b"\xff\0") is None
    store.memory.note("content", b"\xff\0", b"\0value")
    store.memory.note("content", b"\xff\0", b"\0newer")
    assert store.memory.recall("content", b"\xff\0") == b"\0newer"
    assert store.memory.recall("other", b"\xff\0") is None


def test_everything_is_there_after_opening_again(store: Store) -> None:
    manifest = store.put_image(image(store))
    store.tag(Reference.parse("app"), manifest, AMD64)
    store.close()
    with Store.open(store.directory) as again:
        assert again.find(Reference.parse("app"), AMD64) == manifest.digest


def test_a_newer_database_is_told_with_a_way_out(tmp_path: Path) -> None:
    Store.open(str(tmp_path)).close()
    database = sqlite3.connect(tmp_path / "state.db")
    database.execute("PRAGMA user_version=99")
    database.close()
    with pytest.raises(StoreError, match="version 99") as caught:
        Store.open(str(tmp_path))
    assert caught.value.hint


@pytest.mark.parametrize("damage", [b"not a database" * 1000, b""])
def test_images_outlive_a_damaged_database(tmp_path: Path, damage: bytes) -> None:
    name = Reference.parse("app")
    with Store.open(str(tmp_path)) as store:
        made = image(store)
        store.tag(name, manifest := store.put_image(made), AMD64)
        store.memory.record_step(Digest.of(b"key"), made.layers[0], NOON)
    (tmp_path / "state.db").write_bytes(damage)
    with Store.open(str(tmp_path)) as store:
        assert store.find(name, AMD64) == manifest.digest
        assert [one.name for one in listed(store)] == [name]
        assert store.load_image(manifest.digest) == made
        assert store.memory.layer(made.layers[0].diff_id) == made.layers[0]
        assert store.memory.step(Digest.of(b"key")) is None
        if damage:
            (notice,) = store.notices
            assert "damaged" in notice
            assert (tmp_path / "state.db.damaged").read_bytes() == damage
    with Store.open(str(tmp_path)) as store:
        assert store.notices == ()


def test_a_store_of_the_first_version_is_taken_over(tmp_path: Path) -> None:
    name, key, empty = Reference.parse("app"), Digest.of(b"key"), Digest.of(b"empty")
    with Store.open(str(tmp_path)) as store:
        made = image(store)
        store.tag(name, manifest := store.put_image(made), AMD64)
        digest, diff_id = made.layers[0].descriptor.digest, made.layers[0].diff_id
    for left in tmp_path.glob("state.db*"):
        left.unlink()
    database = sqlite3.connect(tmp_path / "state.db")
    database.executescript(FIRST_VERSION)
    database.execute("INSERT INTO layers VALUES (?, 'uncompressed', ?, ?)", (diff_id.text, digest.text, 15))
    database.execute("INSERT INTO steps VALUES (?, ?)", (key.text, diff_id.text))
    database.execute("INSERT INTO steps VALUES (?, NULL)", (empty.text,))
    database.execute("INSERT INTO notes VALUES ('step time', ?, ?)", (key.raw, str(int(NOON.timestamp())).encode()))
    database.execute("INSERT INTO notes VALUES ('base', ?, ?)", (b"k", b"v"))
    database.commit()
    database.close()
    with Store.open(str(tmp_path)) as store:
        assert store.find(name, AMD64) == manifest.digest
        assert store.memory.step(key) == StepResult(made.layers[0], NOON)
        assert store.memory.step(empty) == StepResult(None, None)
        assert store.memory.recall("base", b"k") == b"v"
        assert store.memory.recall("step time", key.raw) is None
        assert store.notices == ()


FIRST_VERSION = """
CREATE TABLE names (
    name TEXT NOT NULL, platform TEXT NOT NULL,
    media_type TEXT NOT NULL, manifest TEXT NOT NULL, manifest_size INTEGER NOT NULL,
    image_size INTEGER NOT NULL, created TEXT,
    PRIMARY KEY (name, platform)
) WITHOUT ROWID;
CREATE TABLE layers (
    diff_id TEXT NOT NULL, compression TEXT NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL,
    PRIMARY KEY (diff_id, compression)
) WITHOUT ROWID;
CREATE TABLE steps (key TEXT NOT NULL PRIMARY KEY, diff_id TEXT) WITHOUT ROWID;
CREATE TABLE notes (kind TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;
PRAGMA user_version=1;
"""


def test_an_image_that_lacks_a_blob_is_found_by_its_name_alone(store: Store) -> None:
    """By a digest it can be fetched again; another image of this name could come from anywhere."""
    manifest = store.put_image(image(store))
    store.tag(Reference.parse("app"), manifest, AMD64)
    os.unlink(store.blob_path(manifest.digest))
    assert store.find(Reference.parse("app"), AMD64) == manifest.digest
    assert store.find(Reference.parse(f"app@{manifest.digest}"), AMD64) is None
    with pytest.raises(StoreError, match="missing"):
        store.load_image(manifest.digest)


def test_an_image_that_others_remove_and_make_again_is_not_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name is read, and then it goes, thrice: each look at it leases a step further."""
    app, made = Reference.parse("app"), 0
    with Store.open(str(tmp_path)) as store:
        read = store.names.named

        def named(name: Reference) -> tuple[Entry, ...]:
            nonlocal made
            with Store.open(str(tmp_path)) as other:
                manifest = make_image(other, b"layer", name="app")
            found = read(name)
            if made < 3:
                made += 1
                with Store.open(str(tmp_path)) as other:
                    untag(other, other.names.entries(), {manifest.digest})
            return found

        monkeypatch.setattr(store.names, "named", named)
        digest = store.find(app, AMD64)
        assert digest is not None
        assert store.is_whole(digest)
        assert made == 3


def test_a_damaged_list_of_images_is_told_with_a_way_out(store: Store) -> None:
    for content in (b"{", b'{"schemaVersion":2,"manifests":[{"digest":"md5:1"}]}'):
        Path(store.directory, "index.json").write_bytes(content)
        with pytest.raises(StoreError, match="list of images is damaged") as caught:
            listed(store)
        assert caught.value.hint


def test_entries_that_others_have_put_into_the_index_stay(store: Store) -> None:
    manifest = store.put_image(image(store))
    path = Path(store.directory, "index.json")
    theirs = {
        "mediaType": media_types.OCI_MANIFEST,
        "digest": str(manifest.digest),
        "size": manifest.size,
        "annotations": {"org.opencontainers.image.ref.name": "theirs"},
    }
    path.write_text(json.dumps({"schemaVersion": 2, "manifests": [theirs]}))
    store.tag(Reference.parse("app"), manifest, AMD64)
    assert theirs in json.loads(path.read_text())["manifests"]
    assert [one.name.familiar() for one in listed(store)] == ["app:latest"]


@pytest.mark.root
def test_a_store_that_cannot_be_written_to_can_be_read(tmp_path: Path) -> None:
    with Store.open(str(tmp_path)) as store:
        store.tag(Reference.parse("app"), manifest := store.put_image(image(store)), AMD64)
    subprocess.run(["mount", "--bind", tmp_path, tmp_path], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", tmp_path], check=True)
        with Store.open(str(tmp_path)) as store:
            assert store.find(Reference.parse("app"), AMD64) == manifest.digest
            assert [one.digest for one in listed(store)] == [manifest.digest]
            assert store.load_image(manifest.digest) == image(store)
            for write in (
                lambda: store.put(b"new"),
                lambda: store.tag(Reference.parse("b"), manifest, AMD64),
                lambda: store.memory.record_layer(image(store).layers[0]),
            ):
                with pytest.raises(OutputError, match="cannot write to") as caught:
                    write()
                assert caught.value.hint
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def _open_and_tag(directory: str, together: Barrier, results: "multiprocessing.Queue[str]") -> None:
    try:
        together.wait(60)
        with Store.open(directory) as store:
            store.tag(Reference.parse(f"x:{os.getpid()}"), store.put_image(image(store)), AMD64)
        results.put("")
    except BaseException as error:
        results.put(repr(error))
        raise


def test_processes_that_make_one_new_store_at_once_lose_no_name(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    for attempt in range(4):
        directory = str(tmp_path / str(attempt))
        together, results = context.Barrier(6), context.Queue()
        processes = [context.Process(target=_open_and_tag, args=(directory, together, results)) for _ in range(6)]
        for process in processes:
            process.start()
        assert [results.get(timeout=60) for _ in processes] == [""] * 6
        for process in processes:
            process.join()
        with Store.open(directory) as store:
            assert len(listed(store)) == 6


def test_a_place_that_cannot_be_written_is_told_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot use the store") as caught:
        Store.open(str(tmp_path / "file" / "store"))
    assert caught.value.hint


def test_a_failed_write_is_an_output_error(store: Store) -> None:
    with store.new_blob() as blob:
        blob.write(b"x")
        os.rename(os.path.join(store.directory, "blobs"), os.path.join(store.directory, "gone"))
        with pytest.raises(OutputError, match="cannot write to"):
            blob.commit()


def test_opening_a_store_imports_nothing_costly() -> None:
    costly = ["httpx", "zstandard", "isal", "lzma", "bz2", "tarfile", "ssl"]
    code = (
        "import sys; before = set(sys.modules); import fswatch_builder.oci.store; "  # site may bring some on its own
        f"print([name for name in {costly} if name in sys.modules.keys() - before])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
