"""Directories of cache mounts: who shares one, who waits, what a new one is, and that nothing gets stuck."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fswatch_builder._native import Rootfs
from fswatch_builder.model.digest import Digest
from fswatch_builder.model.mount import Sharing
from fswatch_builder.oci.caches import Caches, CacheUse
from fswatch_builder.oci.keeping.kept import Kind
from fswatch_builder.oci.store import Store

KEY, OTHER = Digest.of(b"key"), Digest.of(b"other")


def nothing(*_: object) -> None:
    pass


def must_not_wait() -> None:
    raise AssertionError("it waits")


@contextmanager
def used(caches: Caches, sharing: Sharing = "shared", *, key: Digest = KEY, renew: bool = False) -> Iterator[Path]:
    """The directory, by a path that stays right."""
    wanted = CacheUse(key, sharing, "x")
    with caches.use(wanted, nothing, waiting=must_not_wait, renew=renew) as directory:
        fd = os.open(directory.path, os.O_PATH)
        try:
            yield Path(f"/proc/self/fd/{fd}")
        finally:
            os.close(fd)


def same(one: Path, other: Path) -> bool:
    return os.path.samestat(os.stat(one), os.stat(other))


def test_what_was_written_is_there_the_next_time(store: Store) -> None:
    for round_ in range(2):
        with used(Caches(store)) as directory:
            assert os.listdir(directory) == ["f"][:round_]
            (directory / "f").touch()


def test_a_key_is_a_directory_of_its_own(store: Store) -> None:
    with used(Caches(store)) as one, used(Caches(store), key=OTHER) as other:
        assert not same(one, other)


def test_a_shared_one_is_the_same_for_all_at_a_time(store: Store) -> None:
    with used(Caches(store)) as one, used(Caches(store)) as other:
        assert same(one, other)


def test_a_private_one_is_new_while_the_other_is_in_use_and_found_again_later(store: Store) -> None:
    with used(Caches(store), "private") as one:
        (one / "f").touch()
        with used(Caches(store), "private") as other:
            assert os.listdir(other) == []
    with used(Caches(store), "private") as again:
        assert os.listdir(again) == ["f"]
    assert len(store.kept.things(Kind.MOUNT)) == 2


def test_a_private_one_is_not_the_shared_one(store: Store) -> None:
    with used(Caches(store)) as shared, used(Caches(store), "private") as private:
        assert not same(shared, private)


def test_a_locked_one_is_waited_for(store: Store, tmp_path: Path) -> None:
    waiting, found = threading.Event(), []

    def other() -> None:
        with Store.open(store.directory) as another:
            wanted = CacheUse(KEY, "locked", "")
            with Caches(another).use(wanted, nothing, waiting=waiting.set, renew=False) as directory:
                found.append(os.listdir(os.fsdecode(directory.path)))

    thread = threading.Thread(target=other)
    with used(Caches(store), "locked") as one:
        thread.start()
        assert waiting.wait(60)
        assert found == []
        (one / "late").touch()
    thread.join()
    assert found == [["late"]]


@pytest.mark.parametrize("sharing", ["shared", "private", "locked"])
def test_x5_a_build_without_the_cache_starts_empty_once_and_the_next_goes_on_with_it(
    store: Store, sharing: Sharing
) -> None:
    with used(Caches(store), sharing) as old:
        (old / "old").touch()
    without = Caches(store)
    for found in ([], ["new"]):
        with used(without, sharing, renew=True) as new:
            assert os.listdir(new) == found
            (new / "new").touch()
    with used(Caches(store), sharing) as later:
        assert os.listdir(later) == ["new"]


def test_who_uses_what_another_build_discards_keeps_it_to_the_end(store: Store) -> None:
    with used(Caches(store)) as old, used(Caches(store), renew=True) as new:
        (old / "f").touch()
        assert os.listdir(new) == []
        assert os.listdir(old) == ["f"]
        assert len(store.kept.things(Kind.MOUNT)) == 1


def test_what_fills_a_new_one_is_asked_once_and_a_failure_leaves_none(store: Store) -> None:
    asked: list[str] = []

    def fail(path: str) -> None:
        (Path(path) / "half").touch()
        raise OSError("full")

    def fill(path: str) -> None:
        asked.append(path)
        (Path(path) / "seed").touch()

    wanted = CacheUse(KEY, "shared", "")
    with pytest.raises(OSError, match="full"), Caches(store).use(wanted, fail, waiting=nothing, renew=False):
        raise AssertionError
    assert store.kept.things(Kind.MOUNT) == []
    for _ in range(2):
        with Caches(store).use(wanted, fill, waiting=nothing, renew=False) as directory:
            assert os.listdir(os.fsdecode(directory.path)) == ["seed"]
    assert len(asked) == 1


def test_one_that_is_discarded_before_it_is_opened_is_made_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with used(Caches(store)) as directory:
        (directory / "f").touch()
    opened: list[bytes] = []

    def late(path: bytes) -> Rootfs:
        if not opened:
            opened.append(path)
            store.kept.discard(Kind.MOUNT, KEY)
        return Rootfs(path)

    monkeypatch.setattr("fswatch_builder.oci.caches.Rootfs", late)
    with used(Caches(store)) as again:
        assert os.listdir(again) == []


def test_they_are_kept_things_with_a_name_and_not_removed_while_in_use(store: Store) -> None:
    with used(Caches(store)) as path:
        (path / "d").mkdir()
        (path / "d/out").symlink_to("/")
        (thing,) = store.kept.things(Kind.MOUNT)
        assert (thing.label, thing.in_use) == ("x", True)
        assert not store.kept.remove(Kind.MOUNT, KEY)
    assert store.kept.remove(Kind.MOUNT, KEY)
    assert store.kept.things(Kind.MOUNT) == []
    with used(Caches(store)) as again:
        assert os.listdir(again) == []
