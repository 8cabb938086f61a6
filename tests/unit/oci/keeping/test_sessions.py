"""Sessions: who lives, and that the leases of the dead go."""

import fcntl
import os
import subprocess
import threading
from pathlib import Path

import pytest

from fswatch_builder.model.digest import Digest
from fswatch_builder.oci.boot import boot_id
from fswatch_builder.oci.keeping import sessions
from fswatch_builder.oci.keeping.kept import Kind
from fswatch_builder.oci.keeping.sessions import Session
from fswatch_builder.oci.state import State
from fswatch_builder.oci.store import Store
from tests.support.stores import elsewhere, killed_elsewhere, listed, publish, using

KEY = Digest.of(b"key")


def lock_files(directory: Path) -> list[str]:
    return os.listdir(directory / "sessions")


def test_a_store_that_is_only_looked_at_begins_no_session(tmp_path: Path) -> None:
    with Store.open(str(tmp_path)) as store:
        listed(store)
        assert store.session.others() == []
        assert not (tmp_path / "sessions").exists()


def test_a_lease_ends_with_its_session_in_good_order(tmp_path: Path) -> None:
    with Store.open(str(tmp_path)) as store:
        digest = store.put(b"x")
        assert store.session.leased("blob") == {digest.text}
        assert len(lock_files(tmp_path)) == 1
    assert lock_files(tmp_path) == []
    with Store.open(str(tmp_path)) as store:
        assert store.session.leased("blob") == frozenset()


def test_a_lease_of_a_killed_process_goes_and_its_use_is_remembered(tmp_path: Path) -> None:
    with Store.open(str(tmp_path)) as store:
        publish(store, Kind.MOUNT, KEY)
        store.state.change("UPDATE uses SET used = 5")
        with killed_elsewhere(str(tmp_path), using(Kind.MOUNT, KEY)):
            assert store.session.leased("mount") == {KEY.text}
            assert len(store.session.others()) == 1
        assert store.session.leased("mount") == frozenset()
        assert store.session.others() == []
        thing = store.kept.find(Kind.MOUNT, KEY)
        assert thing is not None
        assert thing.used.timestamp() > 5
        assert len(lock_files(tmp_path)) == 1, "our own"


def test_where_a_session_runs_is_told(tmp_path: Path) -> None:
    with Store.open(str(tmp_path)) as store, elsewhere(str(tmp_path), lambda other: other.put(b"x")) as pid:
        (other,) = store.session.others()
        assert (other.host, other.pid) == (os.uname().nodename, pid)


def test_a_process_number_that_is_used_again_keeps_nothing_alive(tmp_path: Path) -> None:
    """Only the lock counts, also for a number of another container."""
    with Store.open(str(tmp_path)) as store:
        store.state.change("INSERT INTO sessions VALUES ('dead', 'host', ?, ?, 1)", boot_id(), os.getpid())
        store.state.change("INSERT INTO leases VALUES ('dead', 'blob', ?)", KEY.text)
        (tmp_path / "sessions").mkdir()
        (tmp_path / "sessions" / "dead").touch()
        assert store.session.leased("blob") == frozenset()
        assert lock_files(tmp_path) == []


def test_a_session_of_another_kernel_is_dead_once_it_is_silent(tmp_path: Path) -> None:
    """Its lock may have been lost on the way, so a free lock alone proves nothing."""
    with Store.open(str(tmp_path)) as store:
        store.state.change("INSERT INTO sessions VALUES ('far', 'host', 'another boot', 1, 1)")
        store.state.change("INSERT INTO leases VALUES ('far', 'blob', ?)", KEY.text)
        (tmp_path / "sessions").mkdir()
        lock = tmp_path / "sessions" / "far"
        lock.touch()
        assert store.session.leased("blob") == {KEY.text}
        os.utime(lock, (1, 1))
        with open(lock, "r+") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            assert store.session.leased("blob") == {KEY.text}
        assert store.session.leased("blob") == frozenset()


def test_where_machines_share_the_file_system_a_session_gives_signs_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "is_local", lambda _: False)
    monkeypatch.setattr(sessions, "_REFRESH_S", 0)
    touched = threading.Event()
    monkeypatch.setattr(os, "utime", lambda _: touched.set())
    state = State(str(tmp_path))
    session = Session(state, str(tmp_path))
    session.lease("blob", ["x"])
    assert touched.wait(60)
    session.close()
    state.close()


def test_a_session_that_a_new_database_does_not_know_keeps_everything(tmp_path: Path) -> None:
    with Store.open(str(tmp_path)) as store:
        publish(store, Kind.TREE, KEY)
    with elsewhere(str(tmp_path), using(Kind.TREE, KEY)):
        (tmp_path / "state.db").write_bytes(b"not a database" * 100)
        for left in ("state.db-wal", "state.db-shm"):
            (tmp_path / left).unlink(missing_ok=True)
        with Store.open(str(tmp_path)) as store:
            assert store.session.strangers()
            assert not store.kept.remove(Kind.TREE, KEY)
            assert (tmp_path / "kept" / "tree" / KEY.hex / "file").exists()
    with Store.open(str(tmp_path)) as store:
        assert not store.session.strangers()
        assert store.kept.remove(Kind.TREE, KEY)


def test_a_command_that_a_build_starts_does_not_inherit_the_lock(tmp_path: Path) -> None:
    with Store.open(str(tmp_path)) as store:
        store.put(b"x")
        (name,) = lock_files(tmp_path)
        done = subprocess.run(
            ["ls", "-l", "/proc/self/fd"], close_fds=False, capture_output=True, text=True, check=False
        )
        assert "pipe" in done.stdout
        assert name not in done.stdout
