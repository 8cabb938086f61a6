"""What the database remembers for builds: which blob holds a layer, what steps did, small facts.

All of it can be lost. Images and their names are in the layout, not here.
"""

import time
from datetime import UTC, datetime

from msgspec import Struct

from fswatch_builder.model.digest import DiffID, Digest
from fswatch_builder.model.image import Descriptor, Layer
from fswatch_builder.oci.blobs import Blobs
from fswatch_builder.oci.compression import Compression
from fswatch_builder.oci.keeping.sessions import Session
from fswatch_builder.oci.state import State


class StepResult(Struct, frozen=True):
    """What a step did, and when: its layer, or None where it changed nothing."""

    layer: Layer | None
    created: datetime | None


class Memory(Struct, frozen=True):
    """Of one store, for one session: what is asked for and found stays until that ends. Any thread may use it."""

    state: State
    session: Session
    blobs: Blobs

    def layer(self, diff_id: DiffID, compression: Compression | None = None) -> Layer | None:
        """A layer whose blob is here, and stays; in any compression if none is given."""
        rows = self.state.rows("SELECT compression, digest, size FROM layers WHERE diff_id = ?", diff_id.text)
        for name, digest, size in rows:
            if (compression is None or name == compression.value) and self.blobs.has(Digest(digest)):
                return Layer(Descriptor(Compression(name).layer_media_type, Digest(digest), size), diff_id)
        return None

    def record_layer(self, layer: Layer) -> None:
        """Remembers which blob holds a layer."""
        compression = Compression.of_media_type(layer.descriptor.media_type)
        self.state.change(
            "INSERT OR REPLACE INTO layers VALUES (?, ?, ?, ?)",
            layer.diff_id.text,
            compression.value,
            layer.descriptor.digest.text,
            layer.descriptor.size,
        )

    def step(self, key: Digest) -> StepResult | None:
        """What the step with this key did; None: not known, or its layer is gone."""
        rows = self.state.rows("SELECT diff_id, created FROM steps WHERE key = ?", key.text)
        if not rows:
            return None
        diff_id, stamp = rows[0]
        created = None if stamp is None else datetime.fromtimestamp(stamp, UTC)
        layer = None if diff_id is None else self.layer(DiffID(diff_id))
        if diff_id is not None and layer is None:
            return None
        self.session.keep("step", [key.text])
        return StepResult(layer, created)

    def made(self, diff_id: DiffID) -> bool:
        """Whether a layer is the result of a step that was done on this store."""
        return bool(self.state.rows("SELECT 1 FROM steps WHERE diff_id = ? LIMIT 1", diff_id.text))

    def record_step(self, key: Digest, layer: Layer | None, created: datetime) -> None:
        """Remembers what a step did, and when; its layer too."""
        self.session.keep("step", [key.text])
        with self.state.transaction():
            if layer is not None:
                self.record_layer(layer)
            diff_id = layer.diff_id.text if layer is not None else None
            self.state.change(
                "INSERT OR REPLACE INTO steps VALUES (?, ?, ?)", key.text, diff_id, int(created.timestamp())
            )

    def note(self, kind: str, key: bytes, value: bytes) -> None:
        """Remembers a small fact that can be found out again."""
        self.state.change("INSERT OR REPLACE INTO notes VALUES (?, ?, ?, ?)", kind, key, value, int(time.time()))

    def recall(self, kind: str, key: bytes) -> bytes | None:
        """A fact noted before."""
        for (value,) in self.state.rows("SELECT value FROM notes WHERE kind = ? AND key = ?", kind, key):
            return bytes(value)
        return None
