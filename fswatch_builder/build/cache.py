"""What a step did before, found by its key.

Besides the layer, the time at which a step ran is kept: a rebuild from the cache gives the same history, so the same
image digest.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from msgspec import Struct, field

from fswatch_builder.build.once import Turns
from fswatch_builder.model.digest import Digest
from fswatch_builder.model.image import Layer
from fswatch_builder.oci.memory import StepResult
from fswatch_builder.oci.store import Store


class StepCache(Struct, frozen=True):
    """``read`` is off with --no-cache; ``write`` is off for results that may be wrong (a lossy mode)."""

    store: Store
    read: bool = True
    write: bool = True
    _turns: Turns[Digest] = field(default_factory=Turns)

    @contextmanager
    def turn(self, key: Digest) -> Iterator[None]:
        """Of two stages that come to the same step at once, the second waits here, and finds what the first did.

        So both have the same layer, as if they had been built one after the other.
        """
        with self._turns.turn(key):
            yield

    def find(self, key: Digest) -> StepResult | None:
        """Of an earlier build, its layer still in the store."""
        return self.store.memory.step(key) if self.read else None

    def record(self, key: Digest, layer: Layer | None, created: datetime) -> None:
        """A step that ended well."""
        if self.write:
            self.store.memory.record_step(key, layer, created)
