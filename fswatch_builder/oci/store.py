"""The local store: a standard OCI image layout, and beside it what builds remember.

    DIR/oci-layout, index.json, blobs/sha256/..   any OCI tool reads these; names of images are in index.json alone
    DIR/state.db                                  sqlite: layers by diffID, results of steps, notes, leases, last uses
    DIR/kept/                                     unpacked bases, cache mounts (keeping/kept.py)
    DIR/sessions/                                 who uses the store now (keeping/sessions.py)
    DIR/work/                                     workspaces of running builds (workspace.py)

Several processes, on several machines, may use it at once: blobs and kept things appear by rename, the database has
transactions, and index.json is written while holding the database's write lock. What a build has asked for, and got,
stays until the build ends.
"""

import errno
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from msgspec import Struct

from fswatch_builder.errors import BaseImageError, OutputError, StoreError
from fswatch_builder.model.digest import Digest
from fswatch_builder.model.image import Descriptor, Image
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci import configuration, documents, index, media_types
from fswatch_builder.oci.blobs import NO_SPACE, Blobs, BlobWriter, is_there, write_error, write_errors
from fswatch_builder.oci.directories import prepare
from fswatch_builder.oci.filesystem import check_locks, check_owner, export_hint
from fswatch_builder.oci.index import Member
from fswatch_builder.oci.keeping.kept import KeptThings
from fswatch_builder.oci.keeping.reserve import keep_reserve
from fswatch_builder.oci.keeping.sessions import Session
from fswatch_builder.oci.limits import USUAL
from fswatch_builder.oci.memory import Memory
from fswatch_builder.oci.names import CONTAINERD_NAME, INDEX, REF_NAME, Entry, Names
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.state import State
from fswatch_builder.oci.workspace import workspace

if TYPE_CHECKING:
    from fswatch_builder.oci.arrivals import Arriving

__all__ = ["CONTAINERD_NAME", "REF_NAME", "BlobWriter", "Store"]

#: Looks at an image that lacks something, its name still there, until it counts as damaged and not as removed by others
#: and made anew between. Each leases what it comes to, and that is a step further than the one before: an index, its
#: manifests, their blobs. Before the fourth nothing is left that could go.
_LOOKS: Final = 4


class _Use(Struct, frozen=True):
    state: State
    session: Session


class Store:
    """See the module. Any thread may use it."""

    def __init__(self, directory: str, state: State | OutputError) -> None:
        """Use ``open``. An error in place of the database is why it can only be read."""
        self.directory = directory
        self._use: _Use | OutputError
        if isinstance(state, OutputError):
            self._use, self._blobs, self.names = state, Blobs(directory, None), Names(directory)
        else:
            self._use = _Use(state, Session(state, directory))
            self._blobs, self.names = Blobs(directory, self._use.session), Names(directory, state.check_lock)
        self._resources = ExitStack()
        self._drafts: str | None = None
        self._drafts_lock = threading.Lock()
        #: What layers and archives of others may unpack to, as long as the store is open.
        self.limits = USUAL
        #: What a user has to be told of the opening.
        self.notices: tuple[str, ...] = ()

    @classmethod
    def open(cls, directory: str) -> "Store":
        """Opens the store in ``directory``, making it where there is none. Raises StoreError.

        One that is there and cannot be written to, for it may not be or the disk is full, can be read, nothing else.
        """
        directory = os.path.abspath(directory)
        check_locks(directory)
        try:
            prepare(directory)
            check_owner(directory)
        except OSError as error:
            if error.errno in _NOT_TO_WRITE and _can_be_read(directory):
                return cls(directory, write_error(directory, error))
            raise StoreError(
                f"cannot use the store {directory}: {error.filename or directory}: {error.strerror or error}",
                hint=f"{export_hint(error, directory)}choose another place with --store",
            ) from error
        try:
            store = cls(directory, State(directory))
        except OutputError as error:
            return cls(directory, error)
        if store.state.is_new:
            store._learn_layers()
        if store.state.damage is not None:
            store.notices = (_lost_database(directory, store.state.damage),)
        return store

    @property
    def state(self) -> State:
        """The database. Raises OutputError where the store can only be read."""
        return self._writable().state

    @property
    def session(self) -> Session:
        """Our use of the store. Raises OutputError where it can only be read."""
        return self._writable().session

    def _writable(self) -> "_Use":
        if isinstance(self._use, OutputError):
            raise self._use
        return self._use

    @property
    def memory(self) -> Memory:
        """What the database remembers for builds. Raises OutputError where the store can only be read."""
        return Memory(self.state, self.session, self._blobs)

    @property
    def kept(self) -> KeptThings:
        """Blobs, unpacked bases and cache mounts: their leases, last uses, removal. Raises OutputError."""
        return KeptThings(self.directory, self.state, self.session, self._blobs)

    def close(self) -> None:
        """Ends the use of the store."""
        self._resources.close()
        if isinstance(self._use, _Use):
            self._use.session.close()
            self._use.state.close()
            keep_reserve(self.directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def mend(self) -> list[str]:
        """Makes anew what is damaged of the list of images and of the database, and tells what that was: the old ones
        are put aside. Before anything else is done with the store. Raises StoreError, OutputError.
        """
        told = []
        damage = self.state.renew_if_damaged()
        if damage is not None:
            told.append(_lost_database(self.directory, damage))
        with self.state.transaction():
            try:
                self.names.entries()
            except StoreError as error:
                self.names.renew()
                told.append(f"{error.what}; it is made anew, and images have lost their names")
        if damage is not None:
            self._learn_layers()
        return told

    # Blobs.

    def has(self, digest: Digest) -> bool:
        """Whether a blob is there; if so, it stays until the store is closed."""
        return self._blobs.has(digest)

    def blob_path(self, digest: Digest) -> str:
        """Where a blob is, or would be."""
        return self._blobs.path(digest)

    def arriving(self, blob: Descriptor) -> "Arriving":
        """The bytes of a blob that an import takes in meanwhile, or that is there. They are not verified yet."""
        return self._blobs.arriving(blob)

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
    def new_blob(self, expected: Digest | None = None) -> Iterator[BlobWriter]:
        """A blob to write; without its ``commit`` nothing is left of it. One that is ``expected`` to have this digest
        can be followed meanwhile (`arriving`).
        """
        with write_errors(self.directory):
            with self._drafts_lock:
                if self._drafts is None:
                    self._drafts = self._resources.enter_context(self.workspace())
            blob = BlobWriter(self._blobs, os.path.join(self._drafts, os.urandom(8).hex()), expected)
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
        """A fresh directory on the store's disk, removed at the end, or after a crash when the store is opened next.

        Raises OutputError where none can be made.
        """
        with ExitStack() as stack:
            with write_errors(self.directory):
                directory = stack.enter_context(workspace(self.workspaces))
            yield directory

    def _learn_layers(self) -> None:
        """A new database learns again what the images tell."""
        with suppress(StoreError):  # what cannot be read is told when it is asked for
            entries = self.names.entries()
            images = {digest for entry in entries for _, digest in self.images_of(entry)}
            for digest in images.union(entry.digest for entry in entries):
                with suppress(StoreError, BaseImageError):  # of an index there are the images
                    for layer in self._image(digest).layers:
                        self.memory.record_layer(layer)

    # Images.

    def put_image(self, image: Image, annotations: Mapping[str, str] | None = None) -> Descriptor:
        """Writes an image's configuration and manifest, with OCI media types: the manifest's descriptor.

        ``annotations`` are the manifest's.
        """
        content = configuration.write(image)
        config = Descriptor(media_types.OCI_CONFIG, self.put(content), len(content))
        manifest = documents.write_manifest(config, image.layers, annotations)
        return Descriptor(media_types.OCI_MANIFEST, self.put(manifest), len(manifest))

    def put_index(self, members: Sequence[Member], annotations: Mapping[str, str] | None = None) -> Descriptor:
        """Writes an index of images: its descriptor. They keep their order."""
        content = index.write(members, annotations or {})
        return Descriptor(media_types.OCI_INDEX, self.put(content), len(content))

    def members(self, digest: Digest) -> tuple[Member, ...]:
        """The images of an index that are here, in its order. Raises BaseImageError, StoreError."""
        read = documents.read_manifest(self.read(digest), "", f"image {digest}")
        choices = read.manifests if isinstance(read, documents.Index) else ()
        return tuple(
            Member(choice.descriptor, choice.platform)
            for choice in choices
            if choice.platform is not None and choice.is_image and is_there(self.blob_path(choice.descriptor.digest))
        )

    def load_image(self, manifest: Digest) -> Image:
        """The image of a manifest in the store; its blobs stay. Raises BaseImageError, StoreError."""
        self.is_whole(manifest)  # for its leases: what is missing is told when it is read
        return self._image(manifest)

    def _image(self, manifest: Digest) -> Image:
        what = f"image {manifest}"
        read = documents.read_manifest(self.read(manifest), "", what)
        if isinstance(read, documents.Index):
            raise BaseImageError(f"{what} is an index of several images")
        return configuration.read(self.read(read.config.digest), read, what)

    def tag(self, name: Reference, manifest: Descriptor, platform: Platform | None) -> None:
        """Gives a manifest a name; whoever had it for this platform loses it. An index has no ``platform``, and takes
        the name from all.
        """
        if platform is None:
            self.is_whole(manifest.digest)
        else:
            self.load_image(manifest.digest)
        with self.state.transaction():
            self.names.put(name, manifest, platform)

    def find(self, name: Reference, platform: Platform) -> Digest | None:
        """The manifest a name stands for here, the best that ``platform`` can run; what is here of it stays.

        ``load_image`` tells what is missing of it: it must not be taken for unknown, or somebody else's image of that
        name would be fetched. A digest in the name decides; it may be an index's. Then what is here has to be whole.
        """
        if name.digest is not None:
            return self._by_digest(name.digest, platform)
        digest, looks = self._by_name(name, platform), 0
        while digest is not None and looks < _LOOKS and not self.is_whole(digest):
            again = self._by_name(name, platform)
            digest, looks = again, looks + 1 if again == digest else 0
        return digest

    def _by_name(self, name: Reference, platform: Platform) -> Digest | None:
        offered: dict[Platform, Digest] = {}
        for entry in self.names.named(name):
            if entry.platform is not None:
                offered[entry.platform] = entry.digest
            elif entry.is_index and self.has(entry.digest):
                for member in self.members(entry.digest):
                    offered.setdefault(member.platform, member.manifest.digest)
        return next((offered[candidate] for candidate in platform.candidates() if candidate in offered), None)

    def is_whole(self, manifest: Digest) -> bool:
        """Whether all blobs of an image are here, or of those images of an index that are; what is here, stays.

        Raises BaseImageError, StoreError for damage.
        """
        if not self.has(manifest):
            return False
        found = index.references(self.read(manifest), f"image {manifest}")
        # All of them are leased, whatever one of them lacks.
        whole = [self.is_whole(part.digest) for part in found.manifests if self.has(part.digest)]
        return self._blobs.has_all([blob.digest for blob in found.blobs]) and all(whole)

    def _by_digest(self, digest: Digest, platform: Platform) -> Digest | None:
        if not self.has(digest):
            return None
        read = documents.read_manifest(self.read(digest), "", f"image {digest}")
        if isinstance(read, documents.Index):
            digest = read.choose(platform, f"image {digest}").digest
        return digest if self.is_whole(digest) else None

    def images_of(self, entry: Entry) -> list[tuple[Platform, Digest]]:
        """The images that a line of the list stands for: their platforms and manifests. None of an index that cannot be
        read.
        """
        if entry.platform is not None:
            return [(entry.platform, entry.digest)]
        with suppress(StoreError, BaseImageError):
            return [(member.platform, member.manifest.digest) for member in self.members(entry.digest)]
        return []


def _lost_database(directory: str, damage: str) -> str:
    return (
        f"the database of the store was damaged ({damage}) and is made anew: images are still there, results of steps "
        f"are forgotten; the old one is {directory}/state.db.damaged"
    )


_NOT_TO_WRITE: Final = (errno.EROFS, errno.EACCES, errno.EPERM, *NO_SPACE)


def _can_be_read(directory: str) -> bool:
    try:
        with open(os.path.join(directory, INDEX), "rb"):
            return True
    except OSError:  # then the error that led here is the one to tell
        return False
