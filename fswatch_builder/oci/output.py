"""Images out of the store: as an archive in a file or a stream, or as a directory. Whole, or not at all."""

import os
import stat
import tarfile
from collections.abc import Sequence
from tarfile import BLOCKSIZE
from typing import IO, BinaryIO, Final, Literal, Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from fswatch_builder.errors import OutputError
from fswatch_builder.model.image import Descriptor
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci import documents, media_types
from fswatch_builder.oci.blobs import sync_directory, write_errors
from fswatch_builder.oci.checking import Checker, checking, damaged
from fswatch_builder.oci.directories import LAYOUT
from fswatch_builder.oci.documents import DescriptorDocument, Manifest
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.store import CONTAINERD_NAME, REF_NAME, Store
from fswatch_builder.oci.validate import Whole, validate_all
from fswatch_builder.oci.whole import check_parent, resolved, whole_directory, whole_file

Form = Literal["oci", "docker"]
"""An OCI image layout; or one that is an archive of ``docker save`` too, for ``docker load`` of any age."""

#: Bytes. Pieces of 1 MiB leave the processor's cache before they are compared and checked: a fifth more time.
_COPY: Final = 256 << 10
_LAYOUT_NAMES: Final = frozenset({"oci-layout", "index.json", "blobs", "manifest.json"})


class Sink(Protocol):
    """Where bytes go."""

    def write(self, content: bytes, /) -> object:
        """All of them."""


class NamedImage(Struct, frozen=True):
    """A manifest or an index in the store, and the names it goes out under."""

    manifest: Descriptor
    names: tuple[Reference, ...] = ()

    @property
    def is_index(self) -> bool:
        """Whether it is an index."""
        return self.manifest.media_type == media_types.OCI_INDEX


def write_archive(store: Store, images: Sequence[NamedImage], form: Form, dest: str) -> None:
    """Writes a tar of images to the file ``dest``, ``-`` for standard output. Raises OutputError, StoreError.

    A file that is this very tar already only gets a new time: a build from the cache makes what the one before it made.
    """
    files = _files(store, images, form)
    if dest != "-" and _is_there(files, dest):
        return
    with whole_file(dest) as sink:
        _write_tar(files, sink)


def stream_archive(store: Store, images: Sequence[NamedImage], form: Form, sink: IO[bytes]) -> None:
    """The same to an open stream. Raises StoreError, and what writing to it raises."""
    _write_tar(_files(store, images, form), sink)


def write_directory(store: Store, images: Sequence[NamedImage], form: Form, dest: str) -> None:
    """Makes the directory ``dest`` a layout of images; one that is a layout already is replaced at once.

    Raises OutputError, also for a directory with anything else in it, and StoreError.
    """
    files = _files(store, images, form)
    with write_errors(dest):
        dest = resolved(dest)
        check_directory(dest, store.directory)
        with whole_directory(dest) as draft:
            os.makedirs(os.path.join(draft, "blobs", "sha256"))
            with checking() as checker:
                for file in files:
                    with open(os.path.join(draft, file.name), "xb") as sink:
                        _copy(file, sink, checker)
                        sink.flush()
                        os.fsync(sink.fileno())
                checker.settled()
            for directory in ("blobs/sha256", "blobs", "."):
                sync_directory(os.path.join(draft, directory))


# What is in it.


class _Document(Struct, frozen=True):
    name: str
    content: bytes

    @property
    def size(self) -> int:
        return len(self.content)


class _Blob(Struct, frozen=True):
    name: str
    path: str
    size: int


_File = _Document | _Blob


def _files(store: Store, images: Sequence[NamedImage], form: Form) -> list[_File]:
    """Everything that goes out, sorted by name; equal blobs once."""
    blobs: dict[str, _File] = {}
    entries: list[DescriptorDocument] = []
    saved: list[dict[str, object]] = []
    for image in images:
        whole = validate_all(store, image.manifest)
        for blob in whole.blobs:
            blobs[blob.digest.hex] = _Blob(_blob_name(blob), store.blob_path(blob.digest), blob.size)
        entries += _index_entries(image, None if image.is_index else whole.images[0][0])
        saved.append(_saved(image, _for_old_engines(whole)))
    files = [*blobs.values(), _Document("oci-layout", LAYOUT), _Document("index.json", documents.write_index(entries))]
    if form == "docker":
        files.append(_Document("manifest.json", msgspec.json.encode(saved)))
    return sorted(files, key=lambda file: file.name)


def _blob_name(blob: Descriptor) -> str:
    return f"blobs/sha256/{blob.digest.hex}"


def _for_old_engines(whole: Whole) -> Manifest:
    """What ``docker load`` takes that knows no index: the image for this machine, else the first."""
    by_platform = dict(reversed(whole.images))
    best = next((one for one in Platform.host().candidates() if one in by_platform), whole.images[0][0])
    return by_platform[best]


def _index_entries(image: NamedImage, platform: Platform | None) -> list[DescriptorDocument]:
    """One for each name; one without a name for an image that has none."""
    annotations: list[dict[str, str]] = []
    for name in image.names:
        tagged = name.without_digest()
        annotations.append({CONTAINERD_NAME: str(tagged), REF_NAME: tagged.tag or ""})
    return [
        documents.descriptor_document(
            replace(image.manifest, annotations={**image.manifest.annotations, **named}), platform
        )
        for named in annotations or [{}]
    ]


def _saved(image: NamedImage, manifest: Manifest) -> dict[str, object]:
    """What docker save says of an image in manifest.json."""
    return {
        "Config": _blob_name(manifest.config),
        "RepoTags": [name.without_digest().familiar() for name in image.names],
        "Layers": [_blob_name(layer) for layer in manifest.layers],
    }


# Writing it.


class _Difference(Exception):  # noqa: N818 - not a mistake of anyone
    pass


class _Compared:
    """What is written to it has to be what a file has."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, content: bytes) -> None:
        if self._file.read(len(content)) != content:
            raise _Difference


def _is_there(files: Sequence[_File], dest: str) -> bool:
    """Whether ``dest`` is a file with the tar of ``files``. One that is not mostly differs in its first kilobytes."""
    size = 2 * BLOCKSIZE + sum(BLOCKSIZE + file.size + -file.size % BLOCKSIZE for file in files) + 2 * BLOCKSIZE
    try:
        status = os.stat(dest)
        if not stat.S_ISREG(status.st_mode) or status.st_size != size:
            return False
        with open(dest, "rb") as file:
            _write_tar(files, _Compared(file))
        os.utime(dest)
    except (_Difference, OSError):  # what cannot be read is written
        return False
    return True


def _write_tar(files: Sequence[_File], sink: Sink) -> None:
    """Deterministic: sorted, no times, no owners."""
    for directory in ("blobs", "blobs/sha256"):
        member = tarfile.TarInfo(directory + "/")
        member.type, member.mode = tarfile.DIRTYPE, 0o755
        sink.write(member.tobuf(tarfile.GNU_FORMAT))
    with checking() as checker:
        for file in files:
            member = tarfile.TarInfo(file.name)
            member.mode, member.size = 0o644, file.size
            sink.write(member.tobuf(tarfile.GNU_FORMAT))
            _copy(file, sink, checker)
            sink.write(bytes(-file.size % BLOCKSIZE))
        checker.settled()
    # Whoever reads a stream knows by this that it has all.
    sink.write(bytes(2 * BLOCKSIZE))


def _copy(file: _File, sink: Sink, checker: Checker) -> None:
    if isinstance(file, _Document):
        sink.write(file.content)
        return
    copied = 0
    with open(file.path, "rb", buffering=0) as source:
        while piece := source.read(_COPY):
            checker.add(piece)
            sink.write(piece)
            copied += len(piece)
    if copied != file.size:
        raise damaged(file.path)
    checker.end(file.path, os.path.basename(file.name))


def check_directory(dest: str, store: str) -> None:
    """Raises OutputError for what ``write_directory`` cannot write, or would destroy: what it replaces is an empty
    directory or a layout. ``store``: the directory of the store.
    """
    check_parent(dest)
    try:
        names = set(os.listdir(dest))
    except FileNotFoundError:
        return
    except NotADirectoryError:
        raise OutputError(f"{dest} is a file", hint="remove it, or leave out tar=false") from None
    if os.path.exists(store) and os.path.samefile(dest, store):
        raise OutputError(f"{dest} is the local store itself", hint="give another directory")
    if names and ("oci-layout" not in names or names - _LAYOUT_NAMES):
        raise OutputError(
            f"{dest} holds other things than an OCI image layout, which would be lost", hint="give another directory"
        )
