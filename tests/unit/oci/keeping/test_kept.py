"""The registry of kept things: used, published, found and removed alike, whatever they are."""

import multiprocessing
import os
import subprocess
import threading
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from fswatch_builder.errors import StoreError
from fswatch_builder.model.digest import Digest
from fswatch_builder.oci.keeping import kept
from fswatch_builder.oci.keeping.kept import Kind
from fswatch_builder.oci.store import Store
from tests.support.store_churn import verified
from tests.support.stores import elsewhere, killed_elsewhere, make_layer, publish, using

KEY, OTHER = Digest.of(b"key"), Digest.of(b"other")
DIRECTORIES = [Kind.TREE, Kind.MOUNT]


@pytest.mark.parametrize("kind", DIRECTORIES)
def test_what_is_published_is_found_and_used_until_it_is_removed(store: Store, kind: Kind) -> None:
    with store.kept.use(kind, KEY) as found:
        assert found.path is None
    assert store.kept.find(kind, KEY) is None
    published = publish(store, kind, KEY, "content", label="for people")
    with store.kept.use(kind, KEY) as found:
        assert found.path == published
        assert Path(published, "file").read_text() == "content"
        thing = store.kept.find(kind, KEY)
        assert thing is not None
        assert (thing.key, thing.path, thing.label, thing.in_use) == (KEY, published, "for people", True)
        assert not store.kept.remove(kind, KEY)
    assert [thing.in_use for thing in store.kept.things(kind)] == [False]
    assert store.kept.remove(kind, KEY)
    assert store.kept.remove(kind, KEY), "what is not there counts as removed"
    assert store.kept.things(kind) == []
    assert not os.path.exists(published)
    assert [name for name in os.listdir(store.workspaces) if not name.startswith(".")] == []


@pytest.mark.parametrize("kind", DIRECTORIES)
def test_nobody_removes_what_another_process_uses(store: Store, kind: Kind) -> None:
    path = publish(store, kind, KEY)
    with elsewhere(store.directory, using(kind, KEY)):
        assert not store.kept.remove(kind, KEY)
        assert os.path.exists(path)
    assert store.kept.remove(kind, KEY)


def test_a_thing_that_is_used_twice_is_in_use_until_both_have_ended(store: Store) -> None:
    publish(store, Kind.TREE, KEY)
    with store.kept.use(Kind.TREE, KEY):
        with store.kept.use(Kind.TREE, KEY):
            pass
        assert not store.kept.remove(Kind.TREE, KEY)
    assert store.kept.remove(Kind.TREE, KEY)


def test_what_is_being_made_is_not_removed_before_its_maker_has_used_it(store: Store) -> None:
    with store.kept.use(Kind.TREE, KEY):
        publish(store, Kind.TREE, KEY)
        with Store.open(store.directory) as other:
            assert not other.kept.remove(Kind.TREE, KEY)


def test_the_first_to_publish_wins_and_the_second_uses_the_same(store: Store) -> None:
    first = publish(store, Kind.MOUNT, KEY, "first")
    with store.workspace() as draft:
        Path(draft, "file").write_text("second")
        assert store.kept.publish(Kind.MOUNT, KEY, draft) == first
        assert Path(draft, "file").read_text() == "second"
    assert Path(first, "file").read_text() == "first"


def test_a_blob_is_a_kept_thing_too_and_goes_with_its_layer(store: Store) -> None:
    layer = make_layer(store)
    store.memory.record_layer(layer)
    digest = layer.descriptor.digest
    assert not store.kept.remove(Kind.BLOB, digest), "we have written it, so we use it"
    store.close()
    with Store.open(store.directory) as again:
        (thing,) = again.kept.things(Kind.BLOB)
        assert (thing.key, thing.in_use) == (digest, False)
        assert again.kept.remove(Kind.BLOB, digest)
        assert again.memory.layer(layer.diff_id) is None
        assert again.state.rows("SELECT * FROM layers") == []


def test_a_blob_is_leased_before_it_can_be_seen(store: Store) -> None:
    with Store.open(store.directory) as other, store.new_blob() as blob:
        blob.write(b"content")
        digest, _ = blob.commit()
        assert not other.kept.remove(Kind.BLOB, digest)
        assert store.has(digest)


def test_what_a_hit_of_the_cache_needs_stays(store: Store) -> None:
    from tests.support.stores import NOON

    key, layer = Digest.of(b"step"), make_layer(store)
    store.memory.record_step(key, layer, NOON)
    store.close()
    with Store.open(store.directory) as build, Store.open(store.directory) as pruning:
        assert build.memory.step(key) is not None
        assert not pruning.kept.remove(Kind.BLOB, layer.descriptor.digest)


def test_things_are_listed_the_longest_unused_first(store: Store) -> None:
    publish(store, Kind.MOUNT, KEY)
    publish(store, Kind.MOUNT, OTHER)
    store.state.change("UPDATE uses SET used = 1 WHERE key = ?", OTHER.text)
    assert [thing.key for thing in store.kept.things(Kind.MOUNT)] == [OTHER, KEY]
    assert store.kept.things(Kind.MOUNT)[0].used.timestamp() == 1


def test_a_database_that_is_lost_loses_no_things_but_what_is_known_of_them(store: Store) -> None:
    for kind in DIRECTORIES:
        publish(store, kind, KEY)
    store.close()
    os.unlink(os.path.join(store.directory, "state.db"))
    with Store.open(store.directory) as again:
        for kind in DIRECTORIES:
            (thing,) = again.kept.things(kind)
            assert thing.used.timestamp() == int(os.stat(thing.path).st_mtime)
            with again.kept.use(kind, KEY) as found:
                assert (found.path, found.of_this_boot) == (thing.path, False)


def test_what_a_power_cut_may_have_cut_into_says_so_until_it_is_believed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(store, Kind.TREE, KEY)
    with store.kept.use(Kind.TREE, KEY) as found:
        assert found.of_this_boot
    monkeypatch.setattr(kept, "boot_id", lambda: "another boot")
    with store.kept.use(Kind.TREE, KEY) as found:
        assert not found.of_this_boot
        store.kept.believe(Kind.TREE, KEY)
    with store.kept.use(Kind.TREE, KEY) as found:
        assert found.of_this_boot


def test_what_is_discarded_is_found_no_more_and_stays_for_those_who_use_it(store: Store) -> None:
    with store.kept.use(Kind.TREE, KEY):
        path = publish(store, Kind.TREE, KEY, "damaged")
        with elsewhere(store.directory, using(Kind.TREE, KEY)):
            opened = os.open(path, os.O_RDONLY)
            store.kept.discard(Kind.TREE, KEY)
            publish(store, Kind.TREE, KEY, "whole")
            with store.kept.use(Kind.TREE, KEY) as found:
                assert found.path == path
                assert Path(path, "file").read_text() == "whole"
            assert os.listdir(opened) == ["file"]
            os.close(opened)
            assert not store.kept.remove(Kind.TREE, KEY), "our lease is on what is published now, too"
    store.close()
    with Store.open(store.directory) as again, again.workspace() as grave:
        assert len(os.listdir(os.path.dirname(path))) == 2
        again.kept.bury_discarded(grave)
        assert os.listdir(os.path.dirname(path)) == [KEY.hex]


def _publish_at_once(directory: str, together: Barrier, results: "multiprocessing.Queue[str]") -> None:
    try:
        with Store.open(directory) as store:
            together.wait(60)
            with store.kept.use(Kind.TREE, KEY):
                results.put(Path(publish(store, Kind.TREE, KEY, str(os.getpid())), "file").read_text())
                together.wait(60)
    except BaseException as error:
        results.put(repr(error))
        raise


def test_many_who_publish_the_same_at_once_all_use_one(store: Store) -> None:
    context = multiprocessing.get_context("fork")
    together, results = context.Barrier(4), context.Queue()
    store.close()
    processes = [context.Process(target=_publish_at_once, args=(store.directory, together, results)) for _ in range(4)]
    for process in processes:
        process.start()
    seen = {results.get(timeout=60) for _ in processes}
    for process in processes:
        process.join()
    assert len(seen) == 1
    assert seen <= {str(process.pid) for process in processes}


@pytest.mark.root
def test_what_is_mounted_in_a_thing_is_not_removed_with_it(store: Store) -> None:
    path = publish(store, Kind.MOUNT, KEY)
    point = os.path.join(path, "point")
    os.mkdir(point)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", point], check=True)
    try:
        with pytest.raises(StoreError, match="something is mounted on") as caught:
            store.kept.remove(Kind.MOUNT, KEY)
        assert caught.value.hint is not None
        assert f"umount {point}" in caught.value.hint
        assert os.path.exists(point)
        with Store.open(store.directory) as again:
            assert f"mount {point}" in verified(again).swept
    except BaseException:
        subprocess.run(["umount", point], check=True)
        raise
    assert store.kept.remove(Kind.MOUNT, KEY)


def _count_in_turn(directory: str, results: "multiprocessing.Queue[str]") -> None:
    try:
        counter = Path(directory, "counter")
        with Store.open(directory) as store:
            for _ in range(50):
                with store.kept.turn(Kind.TREE, KEY):
                    counter.write_text(str(int(counter.read_text()) + 1))
        results.put("")
    except BaseException as error:
        results.put(repr(error))
        raise


def test_turns_are_taken_one_after_the_other(store: Store) -> None:
    Path(store.directory, "counter").write_text("0")
    context = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[str] = context.Queue()
    processes = [context.Process(target=_count_in_turn, args=(store.directory, results)) for _ in range(4)]
    for process in processes:
        process.start()
    assert [results.get(timeout=60) for _ in processes] == [""] * 4
    for process in processes:
        process.join()
    assert Path(store.directory, "counter").read_text() == "200"
    assert os.listdir(os.path.dirname(store.kept.path(Kind.TREE, KEY))) == []


def test_who_has_to_wait_for_a_turn_says_so_and_the_dead_hold_none(store: Store) -> None:
    def hold(other: Store) -> object:
        turn = other.kept.turn(Kind.MOUNT, KEY)
        turn.__enter__()
        return turn

    told: list[str] = []
    ended = threading.Event()

    def wait() -> None:
        with store.kept.turn(Kind.MOUNT, KEY, waiting=lambda: told.append("waits")):
            ended.set()

    with killed_elsewhere(store.directory, hold):
        thread = threading.Thread(target=wait)
        thread.start()
        assert not ended.wait(0.1)
    thread.join(60)
    assert ended.is_set()
    assert told == ["waits"]
    with store.kept.turn(Kind.MOUNT, KEY, waiting=lambda: told.append("again")):
        assert told == ["waits"]
