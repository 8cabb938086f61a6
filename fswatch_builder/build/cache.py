"""What a step did before, found by its key.

Besides the layer, the time at which a step ran is kept: a rebuild from the cache gives the same history, so the same
image digest.
"""

from dataclasses import dataclass
from datetime import datetime

from fswatch_builder.model.digest import Digest
from fswatch_builder.model.image import Layer
from fswatch_builder.oci.store import StepResult, Store


@dataclass(frozen=True, slots=True)
class StepCache:
    """``read`` is off with --no-cache; ``write`` is off for results that may be wrong (a lossy mode)."""

    store: Store
    read: bool = True
    write: bool = True

    def find(self, key: Digest) -> StepResult | None:
        """Of an earlier build, its layer still in the store."""
        return self.store.step(key) if self.read else None

    def record(self, key: Digest, layer: Layer | None, created: datetime) -> None:
        """A step that ended well."""
        if self.write:
            self.store.record_step(key, layer, created)
