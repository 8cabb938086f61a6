"""What a step did before, found by its key.

Besides the layer, the time at which a step ran is kept: a rebuild from the cache gives the same history, so the same
image digest.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from fswatch_builder.model.digest import Digest
from fswatch_builder.model.image import Layer
from fswatch_builder.oci.store import Store

_TIME = "step time"


@dataclass(frozen=True, slots=True)
class Hit:
    """A step that need not be done again. ``layer`` is None for a step that changed nothing."""

    layer: Layer | None
    created: datetime | None


@dataclass(frozen=True, slots=True)
class StepCache:
    """``read`` is off with --no-cache; ``write`` is off for results that may be wrong (a lossy mode)."""

    store: Store
    read: bool = True
    write: bool = True

    def find(self, key: Digest) -> Hit | None:
        """Of an earlier build, its layer still in the store."""
        if not self.read:
            return None
        result = self.store.step(key)
        if result is None:
            return None
        stamp = self.store.recall(_TIME, key.raw)
        created = None if stamp is None else datetime.fromtimestamp(int(stamp), UTC)
        return Hit(result.layer, created)

    def record(self, key: Digest, layer: Layer | None, created: datetime) -> None:
        """A step that ended well."""
        if self.write:
            self.store.note(_TIME, key.raw, str(int(created.timestamp())).encode())
            self.store.record_step(key, layer)
