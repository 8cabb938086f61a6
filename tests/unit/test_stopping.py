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


@pytest.mark.parametrize("which", ["the first", "the second"])
@pytest.mark.parametrize("before", [False, True], ids=["meanwhile", "before"])
def test_under_either_of_two_it_ends_with_the_first_that_is_set(which: str, before: bool) -> None:
    with Stop() as first, Stop() as second, stopping.under(first):
        chosen = first if which == "the first" else second
        if before:
            chosen.set()
        with stopping.under_either(second):
            if not before:
                stopping.check()
                chosen.set()
            with pytest.raises(Stopped):
                stopping.check()
        assert stopping.current() is first
        assert first.wait(0) == (chosen is first)


def test_it_is_no_failure() -> None:
    assert not issubclass(Stopped, Exception)
