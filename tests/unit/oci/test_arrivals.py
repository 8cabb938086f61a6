"""Blobs that are followed while they are written."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fswatch_builder.model.digest import Digest
from fswatch_builder.model.image import Descriptor
from fswatch_builder.oci.arrivals import Arriving
from fswatch_builder.oci.store import Store

CONTENT = bytes(range(256)) * 5000
BLOB = Descriptor("any", Digest.of(CONTENT), len(CONTENT))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as opened:
        yield opened


class Follower:
    """Reads in a thread of its own; `wait_for` returns once it has so many bytes."""

    def __init__(self, blob: Arriving) -> None:
        self.blob = blob
        self.read = b""
        self._more = threading.Condition()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        for piece in self.blob:
            with self._more:
                self.read += piece
                self._more.notify_all()

    def wait_for(self, size: int) -> bytes:
        with self._more:
            assert self._more.wait_for(lambda: len(self.read) >= size, 20)
        return self.read

    def all_read(self) -> bytes:
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self.read


def test_what_is_written_can_be_read_at_once_and_the_rest_when_it_is_in_its_place(store: Store) -> None:
    follower = Follower(store.arriving(BLOB))
    with store.new_blob(BLOB.digest) as writer:
        for end in (1, 100, 5000, 400_000):
            writer.write(CONTENT[writer.size : end])
            assert follower.wait_for(end) == CONTENT[:end]
        writer.write(CONTENT[400_000:])
        writer.commit()
    assert follower.all_read() == CONTENT


def test_what_is_there_is_read(store: Store) -> None:
    store.put(CONTENT)
    assert b"".join(store.arriving(BLOB)) == CONTENT


def test_one_that_begins_anew_is_followed_from_where_it_was(store: Store) -> None:
    follower = Follower(store.arriving(BLOB))
    with store.new_blob(BLOB.digest) as writer:
        writer.write(CONTENT[:1000])
        follower.wait_for(1000)
    with store.new_blob(BLOB.digest) as writer:
        writer.write(CONTENT[:10])
        writer.write(CONTENT[10:2000])
        assert follower.wait_for(2000) == CONTENT[:2000]
        writer.write(CONTENT[2000:])
        writer.commit()
    assert follower.all_read() == CONTENT


def test_two_may_follow_and_two_may_write(store: Store) -> None:
    followers = [Follower(store.arriving(BLOB)) for _ in range(2)]
    with store.new_blob(BLOB.digest) as one:
        one.write(CONTENT[:1000])
        with store.new_blob(BLOB.digest) as other:
            other.write(CONTENT)
            other.commit()
    assert [follower.all_read() for follower in followers] == [CONTENT] * 2


def test_one_that_another_process_brought_is_found_when_the_import_is_over(store: Store) -> None:
    follower = Follower(store.arriving(BLOB))
    with Store.open(store.directory) as other:
        other.put(CONTENT)
    follower.blob.all_came()
    assert follower.all_read() == CONTENT


def test_one_that_does_not_come_is_not_waited_for_when_the_import_is_over(store: Store) -> None:
    follower = Follower(store.arriving(BLOB))
    with store.new_blob(BLOB.digest) as writer:
        writer.write(CONTENT[:1000])
        follower.wait_for(1000)
    follower.blob.all_came()
    assert follower.all_read() == CONTENT[:1000]


def test_whoever_has_enough_is_not_held_by_a_writer_that_stands_still(store: Store) -> None:
    follower = Follower(store.arriving(BLOB))
    with store.new_blob(BLOB.digest) as writer:
        writer.write(CONTENT[:1000])
        follower.wait_for(1000)
        follower.blob.end()
        assert follower.all_read() == CONTENT[:1000]
        writer.write(CONTENT[1000:])
        writer.commit()
    assert store.has(BLOB.digest)
