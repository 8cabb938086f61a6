"""What a pull tells while it works."""

from typing import Protocol

from msgspec import Struct

from fswatch_builder.model.digest import Digest


class Received(Struct, frozen=True):
    """So much of a blob has arrived, in bytes."""

    digest: Digest
    received: int
    size: int


class Progress(Protocol):
    """Where to put it: a ``queue.SimpleQueue`` fits. Several threads do."""

    def put(self, item: Received, /) -> None:
        """Takes it without waiting."""


class Silent:
    """For those who do not want to know."""

    def put(self, item: Received, /) -> None:
        """Drops it."""
