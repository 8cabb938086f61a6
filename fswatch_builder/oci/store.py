"""The local store: a standard OCI image layout, and beside it what builds remember.

    DIR/oci-layout, index.json, blobs/sha256/..   any OCI tool reads these
    DIR/state.db                                  sqlite: names, layers by diffID, results of steps, notes
    DIR/work/                                     workspaces of running builds (workspace.py)

Several processes may use it at once: blobs appear by rename, the database has transactions, and index.json is written
while holding the database's write lock.
"""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Final, Self

from fswatch_builder.errors import BaseImageError, StoreError
from fswatch_builder.model.digest import DiffID, Digest
from fswatch_builder.model.image import Descriptor, Image, Layer
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci import documents, media_types
from fswatch_builder.oci.blobs import Blobs, BlobWriter, write_errors, write_whole
from fswatch_builder.oci.compression import Compression
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.state import State
from fswatch_builder.oci.workspace import sweep, workspace

__all__ = ["BlobWriter", "StepResult", "Store", "StoredImage"]

LAYOUT: Final = b'{"imageLayoutVersion":"1.0.0"}'
REF_NAME: Final = "org.opencontainers.image.ref.name"
CONTAINERD_NAME: Final = "io.containerd.image.name"


@dataclass(frozen=True, slots=True)
class StoredImage:
    """One name in the store. ``size``: bytes of its layers as stored; ``digest``: of its manifest."""

    name: Reference
    digest: Digest
    created: datetime | None
    size: int
    platform: Platform


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a cached step did: its layer, or None where it changed nothing."""

    layer: Layer | None


class Store:
    """See the module. Used by the thread that opened it; blob writers may be used by others."""

    def __init__(self, directory: str, state: State) -> None:
        """Use ``open``."""
        self.directory = directory
        self._state = state
        self._blobs = Blobs(directory)
        self._resources = ExitStack()
        self._drafts: str | None = None
        self._drafts_lock = threading.Lock()

    @classmethod
    def open(cls, directory: str) -> "Store":
        """Opens the store in ``directory``, making it where there is none. Raises StoreError."""
        directory = os.path.abspath(directory)
        work = os.path.join(directory, "work")
        try:
            os.makedirs(directory, mode=0o700, exist_ok=True)
            os.makedirs(os.path.join(directory, "blobs", "sha256"), exist_ok=True)
            os.makedirs(work, mode=0o700, exist_ok=True)
            sweep(work)
            if not os.path.exists(os.path.join(directory, "oci-layout")):
                with workspace(work) as drafts:
                    write_whole(os.path.join(directory, "index.json"), documents.write_index([]), drafts)
                    write_whole(os.path.join(directory, "oci-layout"), LAYOUT, drafts)
        except OSError as error:
            raise StoreError(
                f"cannot use the store {directory}: {error.filename or directory}: {error.strerror or error}",
                hint="choose another place with --store",
            ) from error
        return cls(directory, State(directory))

    def close(self) -> None:
        """Ends the use of the store."""
        self._resources.close()
        self._state.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Blobs.

    def has(self, digest: Digest) -> bool:
        """Whether a blob is there."""
        return self._blobs.has(digest)

    def blob_path(self, digest: Digest) -> str:
        """Where a blob is, or would be."""
        return self._blobs.path(digest)

    def size(self, digest: Digest) -> int:
        """Of a blob, in bytes. Raises StoreError."""
        return self._blobs.size(digest)

    def read(self, digest: Digest, limit: int = documents.MAX_DOCUMENT) -> bytes:
        """A small document, checked against its digest. Raises StoreError."""
        return self._blobs.read(digest, limit)

    def put(self, content: bytes) -> Digest:
        """Stores a small document."""
        digest = Digest.of(content)
        if not self.has(digest):
            with self.new_blob() as blob:
                blob.write(content)
                blob.commit()
        return digest

    @contextmanager
    def new_blob(self) -> Iterator[BlobWriter]:
        """A blob to write; without its ``commit`` nothing is left of it."""
        with write_errors(self.directory):
            with self._drafts_lock:
                if self._drafts is None:
                    self._drafts = self._resources.enter_context(self.workspace())
            blob = BlobWriter(self._blobs, os.path.join(self._drafts, os.urandom(8).hex()))
        try:
            yield blob
        finally:
            blob.discard()

    @property
    def workspaces(self) -> str:
        """The directory in which all workspaces are."""
        return os.path.join(self.directory, "work")

    @contextmanager
    def workspace(self) -> Iterator[str]:
        """A fresh directory on the store's disk, removed at the end, or after a crash when the store is opened next."""
        with workspace(self.workspaces) as directory:
            yield directory

    # Layers.

    def layer(self, diff_id: DiffID, compression: Compression | None = None) -> Layer | None:
        """A layer whose blob is here; in any compression if none is given."""
        rows = self._state.rows("SELECT compression, digest, size FROM layers WHERE diff_id = ?", diff_id.text)
        for name, digest, size in rows:
            if (compression is None or name == compression.value) and self.has(Digest(digest)):
                return Layer(Descriptor(Compression(name).layer_media_type, Digest(digest), size), diff_id)
        return None

    def record_layer(self, layer: Layer) -> None:
        """Remembers which blob holds a layer."""
        compression = Compression.of_media_type(layer.descriptor.media_type)
        self._state.change(
            "INSERT OR REPLACE INTO layers VALUES (?, ?, ?, ?)",
            layer.diff_id.text,
            compression.value,
            layer.descriptor.digest.text,
            layer.descriptor.size,
        )

    # Images.

    def put_image(self, image: Image, annotations: Mapping[str, str] | None = None) -> Descriptor:
        """Writes an image's configuration and manifest, with OCI media types: the manifest's descriptor.

        ``annotations`` are the manifest's.
        """
        content = documents.write_config(image)
        config = Descriptor(media_types.OCI_CONFIG, self.put(content), len(content))
        manifest = documents.write_manifest(config, image.layers, annotations)
        return Descriptor(media_types.OCI_MANIFEST, self.put(manifest), len(manifest))

    def load_image(self, manifest: Digest) -> Image:
        """The image of a manifest in the store. Raises BaseImageError, StoreError."""
        what = f"image {manifest}"
        read = documents.read_manifest(self.read(manifest), "", what)
        if isinstance(read, documents.Index):
            raise BaseImageError(f"{what} is an index of several images")
        return documents.read_image(self.read(read.config.digest), read, what)

    def tag(self, name: Reference, manifest: Descriptor, platform: Platform) -> None:
        """Gives a manifest a name; whoever had it for this platform loses it."""
        image = self.load_image(manifest.digest)
        size = sum(layer.descriptor.size for layer in image.layers)
        created = image.created.isoformat() if image.created is not None else None
        with self._state.transaction():
            self._state.change(
                "INSERT OR REPLACE INTO names VALUES (?, ?, ?, ?, ?, ?, ?)",
                str(name.without_digest()),
                str(platform),
                manifest.media_type,
                manifest.digest.text,
                manifest.size,
                size,
                created,
            )
            self._write_index()

    def find(self, name: Reference, platform: Platform) -> Digest | None:
        """The manifest a name stands for here. A digest in the name decides; it may be an index's."""
        if name.digest is not None:
            return self._by_digest(name.digest, platform)
        rows = self._state.rows(
            "SELECT manifest FROM names WHERE name = ? AND platform = ?", str(name.without_digest()), str(platform)
        )
        for (text,) in rows:
            digest = Digest(text)
            if self.has(digest):
                return digest
        return None

    def _by_digest(self, digest: Digest, platform: Platform) -> Digest | None:
        if not self.has(digest):
            return None
        read = documents.read_manifest(self.read(digest), "", f"image {digest}")
        if isinstance(read, documents.Index):
            chosen = read.choose(platform, f"image {digest}").digest
            return chosen if self.has(chosen) else None
        return digest

    def images(self) -> list[StoredImage]:
        """All names, sorted."""
        rows = self._state.rows(
            "SELECT name, platform, manifest, image_size, created FROM names ORDER BY name, platform"
        )
        return [
            StoredImage(
                Reference.parse(name),
                Digest(manifest),
                datetime.fromisoformat(created) if created is not None else None,
                size,
                Platform.parse(platform),
            )
            for name, platform, manifest, size, created in rows
        ]

    def _write_index(self) -> None:
        rows = self._state.rows(
            "SELECT name, platform, media_type, manifest, manifest_size FROM names ORDER BY name, platform"
        )
        entries = []
        for name, platform, media_type, manifest, size in rows:
            names = {REF_NAME: Reference.parse(name).tag or "", CONTAINERD_NAME: name}
            entry = Descriptor(media_type, Digest(manifest), size, names)
            entries.append(documents.descriptor_document(entry, Platform.parse(platform)))
        with write_errors(self.directory), self.workspace() as drafts:
            write_whole(os.path.join(self.directory, "index.json"), documents.write_index(entries), drafts)

    # What builds remember.

    def step(self, key: Digest) -> StepResult | None:
        """What the step with this key did; None: not known, or its layer is gone."""
        for (diff_id,) in self._state.rows("SELECT diff_id FROM steps WHERE key = ?", key.text):
            if diff_id is None:
                return StepResult(None)
            layer = self.layer(DiffID(diff_id))
            return StepResult(layer) if layer is not None else None
        return None

    def record_step(self, key: Digest, layer: Layer | None) -> None:
        """Remembers what a step did; its layer too."""
        with self._state.transaction():
            if layer is not None:
                self.record_layer(layer)
            diff_id = layer.diff_id.text if layer is not None else None
            self._state.change("INSERT OR REPLACE INTO steps VALUES (?, ?)", key.text, diff_id)

    def note(self, kind: str, key: bytes, value: bytes) -> None:
        """Remembers a small fact."""
        self._state.change("INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", kind, key, value)

    def recall(self, kind: str, key: bytes) -> bytes | None:
        """A fact noted before."""
        for (value,) in self._state.rows("SELECT value FROM notes WHERE kind = ? AND key = ?", kind, key):
            return bytes(value)
        return None
