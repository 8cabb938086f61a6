"""What several stages of a build may ask for at the same time: one thread at a time does it, or makes it for all."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Generic, TypeVar

from fswatch_builder import stopping

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Turns(Generic[Key]):
    """One thread at a time for each key; the same thread may take a turn in its turn."""

    def __init__(self) -> None:
        self._locks: dict[Key, RLock] = {}

    @contextmanager
    def turn(self, key: Key) -> Iterator[None]:
        """Waits for whoever has it. Raises `Stopped` if this thread shall end by then."""
        with self._locks.setdefault(key, RLock()):
            stopping.check()
            yield


class Once(Generic[Key, Value]):
    """Values by key. Whoever asks first makes one; another thread that asks meanwhile waits for it."""

    def __init__(self) -> None:
        self._values: dict[Key, Value] = {}
        self._turns: Turns[Key] = Turns()

    def __contains__(self, key: object) -> bool:
        """Whether the value was made."""
        return key in self._values

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """The value. One that could not be made is tried again by the next who asks."""
        with self._turns.turn(key):
            if key not in self._values:
                self._values[key] = make()
            return self._values[key]
