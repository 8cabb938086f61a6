"""The database of a store under several processes."""

import multiprocessing
from multiprocessing.synchronize import Barrier
from pathlib import Path

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
