"""Work in parts that need one another: what waits for nothing is done at the same time.

Every part has a thread of its own while it is done. The thread that calls ``run`` does none of them: it begins them,
hears how they end, and hears signals, which Python gives to no other thread. All that is decided is decided there, from
messages that come into one mailbox; so nothing is locked, and nothing is decided twice.

    caller                                  thread of A             thread of B
    begins A, begins B (2 at once)
                                            works                   works
                                                                    needs A: says so, waits
    begins C, for B counts no more
                                            is done: says so, ends
    lets B go on when there is room
"""

import signal
import threading
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from queue import SimpleQueue
from types import FrameType
from typing import Any, Final, Generic, TypeAlias, TypeVar

from msgspec import Struct

from fswatch_builder import stopping
from fswatch_builder.build.mailbox import Mailbox
from fswatch_builder.errors import BuildError
from fswatch_builder.stopping import Stop, Stopped

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")

#: Signals that end a build.
_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Done(Struct, Generic[Key, Result], frozen=True):
    key: Key
    result: Result


class _Failed(Struct, Generic[Key], frozen=True):
    key: Key
    error: BaseException


class _Asked(Struct, Generic[Key], frozen=True):
    """A part waits for another one; ``answer`` gets whether it may go on."""

    key: Key
    answer: SimpleQueue[bool]


class _Signalled(Struct, frozen=True):
    """A signal came."""


_Messages: TypeAlias = Mailbox[_Done[Key, Result] | _Failed[Key] | _Asked[Key] | _Signalled]


class Graph(Mapping[Key, Result]):
    """The results of the parts, by their keys. A part that looks for one that is not done waits for it."""

    def __init__(self, at_once: int) -> None:
        """No more than ``at_once`` parts (0: any number) are worked on at a time; one that waits is not counted."""
        if at_once < 0:
            raise ValueError("a number of parts is 0 or more")
        self._at_once = at_once
        self._results: dict[Key, Result] = {}
        self._messages: _Messages[Key, Result]

    def __getitem__(self, key: Key) -> Result:
        """Raises KeyError outside of ``run``, and `Stopped` in a part that shall end."""
        if key not in self._results and stopping.current() is not None:
            answer: SimpleQueue[bool] = SimpleQueue()
            self._messages.put(_Asked(key, answer))
            if not answer.get():
                raise Stopped
        return self._results[key]

    def __contains__(self, key: object) -> bool:
        """Whether it is done."""
        return key in self._results

    def __iter__(self) -> Iterator[Key]:
        return iter(self._results)

    def __len__(self) -> int:
        return len(self._results)

    def run(self, parts: Mapping[Key, Collection[Key]], do: Callable[[Key], Result]) -> None:
        """Does every part; returns, or raises, when no thread of them is left.

        ``parts`` are in the order in which they begin, each with those that must be done before. What it looks for
        later must come before it, too: that is not known in advance.

        When one fails, the others are told to end (`stopping`), and its error is raised. So they are by a signal that
        has a handler in Python; that one is called when all have ended. Errors that came later are notes to what is
        raised.
        """
        with Stop() as stop, Mailbox() as self._messages, _put_off(self._messages) as handle:
            work = _Work(dict(parts), self._at_once, self._results, stop, lambda key: self._thread(key, do, stop))
            while work.goes_on():
                work.hear(self._messages.get())
            if work.first is None:
                return
            try:
                if isinstance(work.first, _Signalled):
                    handle()
                else:
                    raise work.first
            except BaseException as error:
                for other in work.others:
                    error.add_note(f"beside it, something else went wrong: {type(other).__name__}: {other}")
                raise

    def _thread(self, key: Key, do: Callable[[Key], Result], stop: Stop) -> threading.Thread:
        def work() -> None:
            try:
                with stopping.under(stop):
                    self._messages.put(_Done(key, do(key)))
            except BaseException as error:  # noqa: BLE001 - it is raised again in the caller's thread
                self._messages.put(_Failed(key, error))

        return threading.Thread(target=work, name=f"part {key}")


class _Work(Generic[Key, Result]):
    """How far the parts are: known to one thread alone."""

    def __init__(
        self,
        to_come: dict[Key, Collection[Key]],
        at_once: int,
        results: dict[Key, Result],
        stop: Stop,
        thread: Callable[[Key], threading.Thread],
    ) -> None:
        self._to_come = to_come
        self._room = at_once or len(to_come)
        self._results = results
        self._stop = stop
        self._thread = thread
        self._threads: dict[Key, threading.Thread] = {}
        self._waiting: dict[Key, list[SimpleQueue[bool]]] = {}
        self._answered: deque[SimpleQueue[bool]] = deque()  # what they wait for is there
        #: What ended it before its end, and the errors after that.
        self.first: BaseException | _Signalled | None = None
        self.others: list[BaseException] = []

    def goes_on(self) -> bool:
        """Begins what can be begun; False when there is nothing left to hear."""
        while self._room and self._answered:
            self._room -= 1
            self._answered.popleft().put(True)
        while self._room and (key := self._next()) is not None:
            self._begin(key)
        waiting = sum(map(len, self._waiting.values()))
        if self.first is None and len(self._threads) == waiting and (waiting or self._to_come):
            self._fail(RuntimeError("parts wait for one another, or for one that is not there"))
        return bool(self._threads)

    def hear(self, message: "_Done[Key, Result] | _Failed[Key] | _Asked[Key] | _Signalled") -> None:
        """Takes what a part, or a signal, has to say."""
        match message:
            case _Done(key, result):
                self._results[key] = result
                self._ended(key)
                self._answered += self._waiting.pop(key, [])
            case _Failed(key, error):
                self._ended(key)
                self._fail(error)
            case _Asked(key, answer):
                self._room += 1
                if self.first is not None:
                    answer.put(False)
                elif key in self._results:
                    self._answered.append(answer)
                else:
                    self._waiting.setdefault(key, []).append(answer)
            case _Signalled():
                self._end(message)

    def _next(self) -> Key | None:
        return next((key for key, needs in self._to_come.items() if all(need in self._results for need in needs)), None)

    def _begin(self, key: Key) -> None:
        del self._to_come[key]
        thread = self._thread(key)
        try:
            thread.start()
        except RuntimeError as error:  # all that Python says when pthread_create(3) fails
            failure = BuildError(
                f"cannot start a thread: {error}", hint="allow more processes, or ask for less at once"
            )
            failure.__cause__ = error
            self._fail(failure)
            return
        self._threads[key] = thread
        self._room -= 1

    def _ended(self, key: Key) -> None:
        self._threads.pop(key).join()
        self._room += 1

    def _fail(self, error: BaseException) -> None:
        if self.first is None:
            self._end(error)
        elif not isinstance(error, Stopped):  # that was what it was told
            self.others.append(error)

    def _end(self, why: "BaseException | _Signalled") -> None:
        """All parts shall end, those that wait at once."""
        self.first = self.first or why
        self._to_come.clear()
        self._stop.set()
        for answer in [*self._answered, *(one for waiting in self._waiting.values() for one in waiting)]:
            answer.put(False)
        self._answered.clear()
        self._waiting.clear()


@contextmanager
def _put_off(messages: Mailbox[Any]) -> Iterator[Callable[[], None]]:
    """Signals that have a handler in Python are a message at once, and call their handler at the end, or when the body
    calls what it gets: an exception that could come between any two instructions would leave threads behind. After an
    error of the body they count no more.
    """
    arrived: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        arrived.append(number)
        messages.put(_Signalled())

    handlers: dict[signal.Signals, Callable[[int, FrameType | None], object]] = {}

    def handle() -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if arrived:
            signal.raise_signal(arrived[0])
            raise KeyboardInterrupt  # that handler has not ended us, but the parts have ended

    with ExitStack() as stack:
        stack.callback(handle)
        if threading.current_thread() is threading.main_thread():  # no other one gets signals, or may say what they do
            stack.enter_context(messages.hearing_signals())
            for number in _ENDING:
                handler = signal.getsignal(number)
                if callable(handler):
                    handlers[number] = handler
                    signal.signal(number, note)
        try:
            yield handle
        except BaseException:
            arrived.clear()
            raise
