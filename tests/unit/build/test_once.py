"""Made once, whichever thread asks."""

import threading

import pytest

from fswatch_builder import stopping
from fswatch_builder.build.once import Once, Turns
from fswatch_builder.stopping import Stop, Stopped

PATIENCE = 20.0


def test_threads_that_ask_at_once_get_one_value() -> None:
    asked = threading.Barrier(4, timeout=PATIENCE)
    made: list[object] = []
    found: list[object] = []
    values: Once[str, object] = Once()

    def make() -> object:
        made.append(object())
        return made[-1]

    def ask() -> None:
        asked.wait()
        found.append(values.get("key", make))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert found == made * 4


def test_keys_do_not_wait_for_one_another() -> None:
    both = threading.Barrier(2, timeout=PATIENCE)
    values: Once[str, int] = Once()
    threads = [threading.Thread(target=values.get, args=(key, both.wait)) for key in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not both.broken


def test_a_failure_is_not_kept() -> None:
    values: Once[str, int] = Once()
    with pytest.raises(ZeroDivisionError):
        values.get("key", lambda: 1 // 0)
    assert values.get("key", lambda: 1) == 1


def test_a_turn_in_a_turn_is_the_same_threads() -> None:
    turns: Turns[str] = Turns()
    with turns.turn("key"), turns.turn("key"):
        pass


def test_who_shall_end_gets_no_turn() -> None:
    turns: Turns[str] = Turns()
    with Stop() as stop, stopping.under(stop):
        stop.set()
        with pytest.raises(Stopped), turns.turn("key"):
            pytest.fail("it was not to begin")
