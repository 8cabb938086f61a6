"""How other threads are told to end."""

import threading

import pytest

from fswatch_builder import stopping
from fswatch_builder.stopping import Stop, Stopped

PATIENCE = 20.0


def test_without_a_stop_nothing_ends() -> None:
    stopping.check()
    stopping.pause(0.001)
    assert stopping.current() is None


def test_a_stop_ends_what_comes_later_and_what_waits() -> None:
    with Stop() as stop, stopping.under(stop):
        stopping.check()
        waits = threading.Timer(0, stop.set)
        waits.start()
        with pytest.raises(Stopped):
            stopping.pause(PATIENCE)
        with pytest.raises(Stopped):
            stopping.check()
        waits.join()


def test_it_holds_for_the_threads_that_work_under_it() -> None:
    found = []
    with Stop() as stop, stopping.under(stop):
        thread = threading.Thread(target=lambda: found.append(stopping.current()))
        thread.start()
        thread.join()
        assert stopping.current() is stop
    assert found == [None]
    assert stopping.current() is None


def test_it_is_no_failure() -> None:
    assert not issubclass(Stopped, Exception)
