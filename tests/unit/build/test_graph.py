"""Parts that need one another, done at the same time."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from fswatch_builder import stopping
from fswatch_builder.build.graph import Graph
from fswatch_builder.build.mailbox import Mailbox
from fswatch_builder.errors import BuildError
from fswatch_builder.stopping import Stopped

PATIENCE = 20.0
"""Seconds after which a test that waits for what never comes gives up."""

Parts = dict[str, tuple[str, ...]]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    yield
    assert threading.active_count() == before
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == handlers


def test_one_at_a_time_goes_in_order() -> None:
    done: list[str] = []
    graph: Graph[str, None] = Graph(1)
    graph.run({"a": (), "b": (), "c": ("a",), "d": ("b",)}, done.append)
    assert done == ["a", "b", "c", "d"]
    assert list(graph) == done


def test_results_are_found_by_their_keys() -> None:
    graph: Graph[int, int] = Graph(0)
    graph.run({1: (), 2: (1,), 3: (2,)}, lambda key: 10 * key + (graph[key - 1] if key > 1 else 0))
    assert dict(graph) == {1: 10, 2: 30, 3: 60}
    assert 4 not in graph
    with pytest.raises(KeyError):
        graph[4]


@pytest.mark.parametrize("at_once", [0, 3])
def test_what_waits_for_nothing_is_done_at_the_same_time(at_once: int) -> None:
    all_there = threading.Barrier(3, timeout=PATIENCE)
    Graph[str, int](at_once).run({"a": (), "b": (), "c": ()}, lambda _: all_there.wait())


def test_no_more_are_done_at_once_than_is_asked_for() -> None:
    lock = threading.Lock()
    pair = threading.Barrier(2, timeout=PATIENCE)
    most, now = 0, 0

    def work(_: str) -> None:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        pair.wait()
        with lock:
            now -= 1

    Graph[str, None](2).run(dict.fromkeys("abcdef", ()), work)
    assert most == 2


def test_who_waits_for_another_part_takes_no_place() -> None:
    """Two places: a holds one, b waits for a, so c gets the other, without which a does not end."""
    go_on = threading.Event()
    graph: Graph[str, str] = Graph(2)

    def work(key: str) -> str:
        match key:
            case "a":
                assert go_on.wait(PATIENCE)
            case "b":
                assert graph["a"] == "a"
            case "c":
                go_on.set()
        return key

    graph.run({"a": (), "b": (), "c": ()}, work)
    assert set(graph) == {"a", "b", "c"}


def test_the_first_failure_ends_the_others_and_is_raised() -> None:
    begun = threading.Barrier(3, timeout=PATIENCE)
    ended: list[str] = []
    graph: Graph[str, None] = Graph(3)

    def work(key: str) -> None:
        assert key != "late"
        if key == "waits":
            begun.wait()
            graph["slow"]
        begun.wait()
        if key == "fails":
            raise ValueError("first")
        try:
            stopping.pause(PATIENCE)
        except Stopped:
            ended.append(key)
            raise

    with pytest.raises(ValueError, match="first"):
        graph.run({"fails": (), "slow": (), "waits": (), "late": ("fails",)}, work)
    assert ended == ["slow"]
    assert dict(graph) == {}


def test_what_fails_while_all_is_ended_is_not_lost() -> None:
    begun = threading.Barrier(2, timeout=PATIENCE)

    def work(key: str) -> None:
        begun.wait()
        if key == "fails":
            raise ValueError("first")
        try:
            stopping.pause(PATIENCE)
        finally:
            raise OSError("cannot clean up")

    with pytest.raises(ValueError, match="first") as caught:
        Graph[str, None](2).run({"fails": (), "other": ()}, work)
    assert caught.value.__notes__ == ["beside it, something else went wrong: OSError: cannot clean up"]


def test_what_fails_after_a_signal_is_a_note_to_it() -> None:
    def work(_: str) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        try:
            stopping.pause(PATIENCE)
        finally:
            raise OSError("cannot clean up")

    with pytest.raises(KeyboardInterrupt) as caught:
        Graph[str, None](0).run({"a": ()}, work)
    assert caught.value.__notes__ == ["beside it, something else went wrong: OSError: cannot clean up"]


class Ended(BaseException):
    pass


def _end(_number: int, _frame: FrameType | None) -> None:
    raise Ended


@pytest.fixture
def handling() -> Iterator[Callable[[int], type[BaseException]]]:
    before = {}

    def handle(number: int) -> type[BaseException]:
        if number == signal.SIGINT:
            return KeyboardInterrupt
        before[number] = signal.signal(number, _end)
        return Ended

    yield handle
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_parts_before_it_is_handled(
    number: int, handling: Callable[[int], type[BaseException]]
) -> None:
    raised = handling(number)
    ended: list[str] = []
    graph: Graph[str, None] = Graph(0)

    def work(key: str) -> None:
        if key == "waits":
            graph["a"]
        if key == "b":
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)
        try:
            stopping.pause(PATIENCE)
        finally:
            ended.append(key)

    with pytest.raises(raised):
        graph.run({"a": (), "waits": (), "b": (), "late": ("a",)}, work)
    assert sorted(ended) == ["a", "b"]


def _wait_for_main_thread_to_wait() -> None:
    """Until it has not run for longer than it would wait for the interpreter's lock (5 ms) before it tries again."""
    path = Path(f"/proc/self/task/{threading.main_thread().native_id}/schedstat")
    runs, since = path.read_text(), time.monotonic()
    while time.monotonic() < since + 0.05:
        if (now := path.read_text()) != runs:
            runs, since = now, time.monotonic()


def test_a_signal_that_the_kernel_gives_to_another_thread_is_heard() -> None:
    """It interrupts no call of the main thread."""

    def work(_: str) -> None:
        _wait_for_main_thread_to_wait()
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        stopping.pause(PATIENCE)
        raise AssertionError("nobody has heard it")

    with pytest.raises(KeyboardInterrupt):
        Graph[str, None](0).run({"a": ()}, work)


def test_more_messages_than_a_pipe_holds_bytes_arrive_in_order() -> None:
    with Mailbox[int]() as mailbox:
        for number in range(70_000):
            mailbox.put(number)
        assert [mailbox.get() for _ in range(70_000)] == list(range(70_000))


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        Graph[str, None](1).run({"a": ()}, lambda _: os.kill(os.getpid(), signal.SIGHUP))
    finally:
        signal.signal(signal.SIGHUP, before)


def test_it_works_in_another_thread_than_the_main_one() -> None:
    graph: Graph[str, str] = Graph(0)
    thread = threading.Thread(target=lambda: graph.run({"a": (), "b": ("a",)}, lambda key: key))
    thread.start()
    thread.join()
    assert dict(graph) == {"a": "a", "b": "b"}


@pytest.mark.parametrize("parts", [{"a": ("b",)}, {"a": ("b",), "b": ("a",)}, {"a": (), "b": ("c",)}])
def test_what_can_never_begin_is_an_error(parts: Parts) -> None:
    with pytest.raises(RuntimeError, match="wait for one another"):
        Graph[str, None](0).run(parts, lambda _: None)


def test_two_parts_that_look_for_one_another_are_an_error() -> None:
    graph: Graph[str, str] = Graph(0)
    with pytest.raises(RuntimeError, match="wait for one another"):
        graph.run({"a": (), "b": ()}, lambda key: graph["b" if key == "a" else "a"])


def test_a_thread_that_cannot_be_started_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(BuildError, match="cannot start a thread"):
        Graph[str, None](1).run({"a": ()}, lambda _: None)
