"""The names of images: ``index.json`` of the store's layout, which any OCI tool reads. There is no other list.

Entries that others have put there without a full name stay as they are.
"""

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from msgspec import Struct

from fswatch_builder.errors import BaseImageError, StoreError
from fswatch_builder.model.digest import Digest
from fswatch_builder.model.image import Descriptor
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci import documents, media_types
from fswatch_builder.oci.blobs import sync_directory, write_errors, write_whole
from fswatch_builder.oci.documents import DescriptorDocument, PlatformDocument
from fswatch_builder.oci.filesystem import ask
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.workspace import workspace

INDEX: Final = "index.json"
REF_NAME: Final = "org.opencontainers.image.ref.name"
CONTAINERD_NAME: Final = "io.containerd.image.name"
#: Another machine may replace the list while we read it; of NFS 3 the old file is gone then (ESTALE).
_ATTEMPTS: Final = 10


class Entry(Struct, frozen=True):
    """One line of the index. ``name`` is None where another tool gave no full one; a manifest may have many names.

    It stands for an image, or (``is_index``) for an index of several, which has no platform of its own.
    """

    document: DescriptorDocument
    name: Reference | None
    platform: Platform | None

    @property
    def digest(self) -> Digest:
        """Of the manifest, or the index."""
        return Digest(self.document.digest)

    @property
    def is_index(self) -> bool:
        """Whether it stands for several images."""
        return self.document.media_type in media_types.INDEXES


class Names:
    """The index of a store. Who changes it holds the store's transaction."""

    def __init__(self, directory: str, check_lock: Callable[[], None] = lambda: None) -> None:
        """``directory`` is the store's; ``check_lock`` raises StoreError if the transaction is not held any more."""
        self._directory = directory
        self._check_lock = check_lock
        self._path = os.path.join(directory, INDEX)

    def entries(self) -> tuple[Entry, ...]:
        """All of them, as they stand there. Raises StoreError."""
        try:
            content = self._content()
        except OSError as error:
            raise StoreError(f"cannot read {self._path}: {error.strerror}", hint=_HINT) from error
        try:
            document = documents.decode(content, documents.ManifestDocument, self._path)
            return tuple(_entry(found) for found in document.manifests or ())
        except (BaseImageError, ValueError) as error:
            raise StoreError(f"the list of images is damaged: {error}", hint=_HINT) from error

    def _content(self) -> bytes:
        attempts = _ATTEMPTS
        while True:
            try:
                ask(self._directory)  # it is replaced at every change
                with open(self._path, "rb") as file:
                    return file.read(documents.MAX_DOCUMENT + 1)
            except OSError as error:
                attempts -= 1
                if error.errno != errno.ESTALE or not attempts:
                    raise

    def named(self, name: Reference) -> tuple[Entry, ...]:
        """Those of a name, its digest aside."""
        wanted = name.without_digest()
        return tuple(entry for entry in self.entries() if entry.name == wanted)

    def put(self, name: Reference, manifest: Descriptor, platform: Platform | None) -> None:
        """Gives a manifest a name; whoever had it for this platform loses it, an index too. An index (it has no
        ``platform``) takes it from all. Raises OutputError, StoreError.
        """
        wanted = name.without_digest()
        named = {**manifest.annotations, REF_NAME: wanted.tag or "", CONTAINERD_NAME: str(wanted)}
        entry = Descriptor(manifest.media_type, manifest.digest, manifest.size, named)
        added = _entry(documents.descriptor_document(entry, platform))
        replaced = {None, platform}
        self.write(
            [
                *(
                    other
                    for other in self.entries()
                    if other.name != wanted or (platform is not None and other.platform not in replaced)
                ),
                added,
            ]
        )

    def write(self, entries: Sequence[Entry]) -> None:
        """These, sorted by name, and no others."""
        ordered = sorted(entries, key=lambda entry: (str(entry.name or ""), str(entry.platform or "")))
        content = documents.write_index([entry.document for entry in ordered])
        with write_errors(self._directory), workspace(os.path.join(self._directory, "work")) as drafts:
            # What the index names must not reach the disk after it, whoever wrote it.
            sync_directory(os.path.join(self._directory, "blobs", "sha256"))
            write_whole(self._path, content, drafts, self._check_lock)

    def renew(self) -> None:
        """An empty index; the old one, which cannot be read, is put aside as ``index.json.damaged``."""
        with write_errors(self._directory), suppress(FileNotFoundError):
            os.replace(self._path, f"{self._path}.damaged")
        self.write([])


_HINT: Final = "`fswatch-builder prune --verify` mends a damaged store"


def _entry(document: DescriptorDocument) -> Entry:
    Digest(document.digest)  # ValueError
    name = (document.annotations or {}).get(CONTAINERD_NAME, "")
    return Entry(document, _reference(name), _platform(document.platform))


def _reference(name: str) -> Reference | None:
    try:
        return Reference.parse(name)
    except ValueError:  # none, or none by our rules
        return None


def _platform(document: PlatformDocument | None) -> Platform | None:
    if document is None or not document.os or not document.architecture:
        return None
    return Platform.parse("/".join(filter(None, (document.os, document.architecture, document.variant))))
