"""The database of a store under several processes."""

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from fswatch_builder.errors import StoreError
from fswatch_builder.oci import state
from fswatch_builder.oci.state import State


def _open_often(directory: str, together: Barrier, results: "multiprocessing.Queue[str]") -> None:
    try:
        together.wait(60)
        for _ in range(20):
            State(directory).close()
        results.put("")
    except BaseException as error:
        results.put(repr(error))
        raise


def test_several_processes_make_one_new_database_at_once(tmp_path: Path) -> None:
    """Switching to a write-ahead log fails at once while another connection is there: no timeout applies."""
    context = multiprocessing.get_context("fork")
    for attempt in range(6):
        directory = tmp_path / str(attempt)
        directory.mkdir()
        together, results = context.Barrier(8), context.Queue()
        processes = [context.Process(target=_open_often, args=(str(directory), together, results)) for _ in range(8)]
        for process in processes:
            process.start()
        assert [results.get(timeout=60) for _ in processes] == [""] * 8
        for process in processes:
            process.join()


@pytest.mark.parametrize(("local", "journal"), [(True, "wal"), (False, "persist")])
def test_no_write_ahead_log_where_machines_share_the_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, local: bool, journal: str
) -> None:
    monkeypatch.setattr(state, "is_local", lambda _: local)
    opened = State(str(tmp_path))
    assert opened.journal == journal
    opened.close()


def test_a_store_that_moved_to_a_shared_file_system_gives_up_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = State(str(tmp_path))
    opened.change("INSERT INTO notes VALUES ('kind', x'00', x'01', 0)")
    opened.close()
    monkeypatch.setattr(state, "is_local", lambda _: False)
    opened = State(str(tmp_path))
    assert opened.journal == "persist"
    assert opened.rows("SELECT value FROM notes") == [(b"\x01",)]
    opened.close()


def test_the_journal_of_a_shared_store_is_always_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether there is one sqlite asks with stat(2), which an NFS client answers from memory, its size too."""
    monkeypatch.setattr(state, "is_local", lambda _: False)
    journal = tmp_path / "state.db-journal"
    opened = State(str(tmp_path))
    inode = journal.stat().st_ino
    assert journal.stat().st_size > 0
    opened.change("INSERT INTO notes VALUES ('kind', x'00', x'01', 0)")
    opened.close()
    assert journal.stat().st_size > 0
    ways: tuple[Callable[[], None], ...] = (journal.unlink, lambda: os.truncate(journal, 0))
    for emptied in ways:
        emptied()
        State(str(tmp_path)).close()
        assert journal.stat().st_size > 0
    opened = State(str(tmp_path))
    inode = journal.stat().st_ino
    opened.change("INSERT INTO notes VALUES ('kind', x'01', x'01', 0)")
    opened.close()
    assert journal.stat().st_ino == inode


def test_a_store_that_was_shared_gets_no_log_on_the_file_server_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There it looks like a local one."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(state, "is_local", lambda _: False)
        State(str(tmp_path)).close()
    monkeypatch.setattr(state, "is_local", lambda _: True)
    opened = State(str(tmp_path))
    assert opened.journal == "persist"
    opened.close()


def test_a_store_is_refused_whose_log_another_machine_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot be given up while somebody has it open, and two machines cannot share it."""
    with monkeypatch.context() as server:
        server.setattr(state, "is_local", lambda _: True)
        local = State(str(tmp_path))
        local.change("INSERT INTO notes VALUES ('kind', x'00', x'01', 0)")
    monkeypatch.setattr(state, "is_local", lambda _: False)
    with pytest.raises(StoreError, match="used by a process"):
        State(str(tmp_path))
    assert local.rows("SELECT value FROM notes") == [(b"\x01",)]
    local.close()
    State(str(tmp_path)).close()


def _write_often(directory: str, together: Barrier, results: "multiprocessing.Queue[str]") -> None:
    try:
        opened = State(directory)
        together.wait(60)
        for number in range(20):
            with opened.transaction():
                ((seen,),) = opened.rows("SELECT count(*) FROM notes")
                opened.change("INSERT INTO notes VALUES ('kind', ?, ?, 0)", str(seen).encode(), str(number).encode())
        opened.close()
        results.put("")
    except BaseException as error:
        results.put(repr(error))
        raise


@pytest.mark.parametrize("local", [True, False])
def test_transactions_of_several_processes_come_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, local: bool
) -> None:
    monkeypatch.setattr(state, "is_local", lambda _: local)
    State(str(tmp_path)).close()
    context = multiprocessing.get_context("fork")
    together, results = context.Barrier(4), context.Queue()
    processes = [context.Process(target=_write_often, args=(str(tmp_path), together, results)) for _ in range(4)]
    for process in processes:
        process.start()
    assert [results.get(timeout=120) for _ in processes] == [""] * 4
    for process in processes:
        process.join()
    opened = State(str(tmp_path))
    assert opened.rows("SELECT count(*) FROM notes") == [(80,)]
    opened.close()


def test_threads_take_turns(tmp_path: Path) -> None:
    opened = State(str(tmp_path))

    def write(thread: int) -> None:
        for number in range(50):
            with opened.transaction():
                opened.change("INSERT INTO notes VALUES ('kind', ?, x'00', 0)", f"{thread} {number}".encode())

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, range(4)))
    assert opened.rows("SELECT count(*) FROM notes") == [(200,)]
    opened.close()
