"""Where locks can get lost on the way, a transaction holds a second one, and asks for the first (oci/fence.py)."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fswatch_builder.errors import StoreError
from fswatch_builder.oci import state
from fswatch_builder.oci.state import State
from fswatch_builder.oci.store import Store
from tests.support.stores import listed, make_image


@pytest.fixture(autouse=True)
def nfs4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "is_local", lambda _: False)
    monkeypatch.setattr(state, "loses_locks", lambda _: True)
    monkeypatch.setattr(os, "O_DIRECT", 0)  # a tmpfs may not have it


def refuse(monkeypatch: pytest.MonkeyPatch, times: int) -> Callable[[], int]:
    """The next so many reads that ask for the lock find it lost: how many of those are left."""
    real = os.preadv
    left = times

    def reading(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        nonlocal left
        if left:
            left -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", reading)
    return lambda: left


def can_be_locked(path: Path) -> bool:
    """By another process: a lock of fcntl(2) does not keep out its own."""
    program = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    return subprocess.run([sys.executable, "-c", program, path], capture_output=True, check=False).returncode == 0


def test_the_journal_is_locked_as_long_as_it_may_be_written(tmp_path: Path) -> None:
    opened, journal = State(str(tmp_path)), tmp_path / "state.db-journal"
    assert can_be_locked(journal)
    with opened.transaction():
        assert not can_be_locked(journal)
        opened.change("INSERT INTO notes VALUES ('kind', 'key', 'value', 1)")
        assert not can_be_locked(journal)
    assert can_be_locked(journal)
    opened.close()


def test_a_lock_that_was_lost_before_anything_is_written_is_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = State(str(tmp_path))
    left = refuse(monkeypatch, times=3)
    opened.change("INSERT INTO notes VALUES ('kind', 'key', 'value', 1)")
    assert left() == 0
    assert opened.rows("SELECT kind FROM notes") == [("kind",)]
    opened.close()


def test_locks_that_do_not_last_are_an_error_that_tells_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = State(str(tmp_path))
    refuse(monkeypatch, times=1_000)
    with pytest.raises(StoreError, match="longer than it keeps locks") as lost:
        opened.change("INSERT INTO notes VALUES ('kind', 'key', 'value', 1)")
    assert "again" in (lost.value.hint or "")
    opened.close()


def test_the_list_of_images_is_not_replaced_under_a_lock_that_was_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(str(tmp_path)) as store:
        make_image(store, b"1", name="app:1")

        def replace_it() -> None:
            with store.state.transaction(), monkeypatch.context() as away:
                refuse(away, times=1)
                store.names.write([])

        with pytest.raises(StoreError, match="longer than it keeps locks"):
            replace_it()
        assert [image.name.familiar() for image in listed(store)] == ["app:1"]
    assert os.listdir(tmp_path / "work") == [".lock"]
