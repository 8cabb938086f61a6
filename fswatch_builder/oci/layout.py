"""Taking an image out of an OCI image layout, a directory or an archive of one, into the store."""

import os
import re
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

from fswatch_builder.errors import BaseImageError
from fswatch_builder.model.digest import Digest
from fswatch_builder.model.image import Descriptor
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci import configuration, documents
from fswatch_builder.oci.documents import MAX_DOCUMENT, Choice, Index
from fswatch_builder.oci.index import references
from fswatch_builder.oci.reading import reading
from fswatch_builder.oci.store import CONTAINERD_NAME, REF_NAME, Store

if TYPE_CHECKING:
    from fswatch_builder.oci.arrivals import Watcher

SCHEME: Final = "oci-layout://"
_CHUNK: Final = 1 << 20
_MAX_DEPTH: Final = 4  # of indexes in indexes
_UNKNOWN: Final = 0  # size of a document that is known by its digest alone; none is empty
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+/-]{0,255}")


class Content(Protocol):
    """A file of a layout."""

    @property
    def size(self) -> int:
        """In bytes."""

    def chunks(self) -> Iterator[bytes]:
        """Its bytes, in order."""


class Files(Protocol):
    """A set of files by relative path: a directory, or an archive."""

    name: str

    def find(self, path: str) -> Content | None:
        """A regular file; None: there is none of this name."""


class _File(Struct, frozen=True):
    path: str
    size: int

    def chunks(self) -> Iterator[bytes]:
        with open(self.path, "rb", buffering=0) as file:
            while chunk := file.read(_CHUNK):
                yield chunk


class Directory:
    """A layout on disk."""

    def __init__(self, path: str) -> None:
        self.name = path

    def find(self, path: str) -> Content | None:
        """See Files. Only a plain file counts: a FIFO would make us wait for ever."""
        full = os.path.join(self.name, path)
        try:
            status = os.stat(full)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise BaseImageError(f"cannot read {full}: {error.strerror}") from error
        return _File(full, status.st_size) if stat.S_ISREG(status.st_mode) else None


def import_layout(store: Store, value: str, platform: Platform, watcher: "Watcher | None" = None) -> Digest:
    """Of ``[oci-layout://]DIR[:TAG][@DIGEST]``: the manifest's digest in the store. Raises BaseImageError."""
    directory, tag, digest = _parse(value.removeprefix(SCHEME))
    files = Directory(directory)
    if files.find("oci-layout") is None or files.find("index.json") is None:
        raise BaseImageError(
            f"{directory} is not an OCI image layout", hint="such a directory has the files oci-layout and index.json"
        )
    return import_files(store, files, platform, watcher, tag=tag, digest=digest)


def _parse(value: str) -> tuple[str, str | None, Digest | None]:
    rest, at, text = value.rpartition("@")
    digest: Digest | None = None
    if at:
        try:
            digest = Digest(text)
        except ValueError:
            rest = value  # a directory with an @ in its name
    else:
        rest = value
    directory, colon, tag = rest.rpartition(":")
    if colon and _TAG.fullmatch(tag) and not os.path.isdir(rest):
        return directory, tag, digest
    return rest, None, digest


def import_files(
    store: Store,
    files: Files,
    platform: Platform,
    watcher: "Watcher | None" = None,
    *,
    tag: str | None = None,
    digest: Digest | None = None,
) -> Digest:
    """Of a layout's files: the image for ``platform``, chosen by ``tag`` or ``digest``, else the only one there is."""
    descriptor = _choose(_index(files), files.name, platform, tag, digest)
    return _take(store, files, descriptor, platform, watcher)


def load_files(store: Store, files: Files, platform: Platform | None) -> list[tuple[Digest, tuple[str, ...]]]:
    """Of a layout's files: every image for ``platform``, with the full names it is given there. Without a platform
    these are the images for this machine, and of what is an index itself all of it.
    """
    index = _index(files)
    wanted = platform or Platform.host()
    named: dict[Digest, list[str]] = {}
    descriptors: dict[Digest, Descriptor] = {}
    for choice in index.manifests:
        if choice.platform is None or documents.fits(choice.platform, wanted):
            descriptors.setdefault(choice.descriptor.digest, choice.descriptor)
            named.setdefault(choice.descriptor.digest, []).extend(_full_names(choice))
    if not named:
        index.choose(wanted, files.name)  # refuses, and tells what there is
    return [
        (_taken_whole(store, files, descriptors[digest], platform), tuple(names)) for digest, names in named.items()
    ]


def _taken_whole(store: Store, files: Files, descriptor: Descriptor, platform: Platform | None) -> Digest:
    """An image, or all images of an index that are there, with their attestations; only that for ``platform`` if one is
    given.
    """
    what = f"manifest {descriptor.digest} of {files.name}"
    content = _document(files, descriptor, what)
    read = documents.read_manifest(content, descriptor.media_type, what)
    if platform is not None or not isinstance(read, Index):
        return _take(store, files, descriptor, platform or Platform.host())
    here = [choice for choice in read.manifests if files.find(_place(choice.descriptor.digest)) is not None]
    images = [choice for choice in here if choice.is_image]
    if not images:
        return _take(store, files, descriptor, Platform.host())  # an index of indexes, or of what is not there
    for choice in here:
        if choice.is_image:
            _take(store, files, choice.descriptor, choice.platform or Platform.host())
        else:
            _take_attestation(store, files, choice.descriptor, what)
    return store.put(content)


def _take_attestation(store: Store, files: Files, descriptor: Descriptor, what: str) -> None:
    content = _document(files, descriptor, what)
    for blob in references(content, what).blobs:
        take_blob(store, files, blob)
    store.put(content)


def _index(files: Files) -> Index:
    found = files.find("index.json")
    if found is None:
        raise BaseImageError(f"{files.name} has no index.json")
    what = f"index.json of {files.name}"
    index = documents.read_manifest(_small(found, what), "", what)
    if not isinstance(index, Index):
        raise BaseImageError(f"{what} is no index")
    return index


def _full_names(choice: Choice) -> Iterator[str]:
    """One annotation is always a full name; that of the image spec may be one, or a tag alone, which names nothing."""
    annotations = choice.descriptor.annotations
    full, short = annotations.get(CONTAINERD_NAME), annotations.get(REF_NAME, "")
    if full:
        yield full
    elif ":" in short or "/" in short:
        yield short


def _choose(index: Index, name: str, platform: Platform, tag: str | None, digest: Digest | None) -> Descriptor:
    choices = list(index.manifests)
    if digest is not None:
        chosen = [choice for choice in choices if choice.descriptor.digest == digest]
        if chosen:
            return chosen[0].descriptor
        return Descriptor("", digest, _UNKNOWN)  # a manifest inside an index: read by its digest, and checked by it
    if tag is not None:
        choices = [choice for choice in choices if tag in _names(choice)]
        if not choices:
            known = sorted(name for choice in index.manifests for name in _names(choice))
            raise BaseImageError(f"{name} has no image {tag}", hint=f"it has {', '.join(known)}" if known else None)
    if len({choice.descriptor.digest for choice in choices}) > 1:
        choices = _best(choices, platform)
    if len({choice.descriptor.digest for choice in choices}) > 1:
        known = sorted({n for choice in choices for n in _names(choice)})
        raise BaseImageError(
            f"{name} holds several images",
            hint=f"choose one by :TAG, of {', '.join(known)}" if known else "choose one by @DIGEST",
        )
    if not choices:
        raise BaseImageError(f"{name} holds no image")
    return choices[0].descriptor


def _best(choices: list[Choice], platform: Platform) -> list[Choice]:
    """Those for the best of what a platform can run, if any says what it is for."""
    for candidate in platform.candidates():
        fitting = [choice for choice in choices if choice.platform == candidate]
        if fitting:
            return fitting
    return choices


def _names(choice: Choice) -> set[str]:
    annotations = choice.descriptor.annotations
    return {annotations[key] for key in (REF_NAME, CONTAINERD_NAME) if annotations.get(key)}


def _take(
    store: Store, files: Files, descriptor: Descriptor, platform: Platform, watcher: "Watcher | None" = None
) -> Digest:
    """Where an index offers no choice the image there is is taken, whatever platform it is for."""
    what = f"manifest {descriptor.digest} of {files.name}"
    for _ in range(_MAX_DEPTH):
        content = _document(files, descriptor, what)
        read = documents.read_manifest(content, descriptor.media_type, what)
        if isinstance(read, Index):
            descriptor = read.choose(platform, files.name)
            continue
        take_blob(store, files, read.config)
        image = configuration.read(store.read(read.config.digest), read, what)  # refuses what is no image
        if watcher is not None:
            watcher.coming(image.layers)
        for layer in read.layers:
            take_blob(store, files, layer)
        return store.put(content)
    raise BaseImageError(f"{files.name} has indexes in indexes, more than {_MAX_DEPTH} deep")


def _place(digest: Digest) -> str:
    return f"blobs/sha256/{digest.hex}"


def _blob(files: Files, digest: Digest) -> Content:
    found = files.find(_place(digest))
    if found is None:
        raise BaseImageError(f"{files.name} lacks blob {digest}", hint="it is incomplete: make it again")
    return found


def _document(files: Files, descriptor: Descriptor, what: str) -> bytes:
    content = _small(_blob(files, descriptor.digest), what)
    if Digest.of(content) != descriptor.digest:
        raise BaseImageError(f"{what} is damaged: its digest is {Digest.of(content)}")
    if descriptor.size not in (_UNKNOWN, len(content)):
        raise _wrong_size(what, len(content), descriptor.size)
    return content


def _wrong_size(what: str, size: int, stated: int) -> BaseImageError:
    return BaseImageError(f"{what} is damaged: it has {size} bytes, not the {stated} that are stated")


def _small(found: Content, what: str) -> bytes:
    content = bytearray()
    with reading(what):
        for chunk in found.chunks():
            content += chunk
            if len(content) > MAX_DOCUMENT:
                raise BaseImageError(f"{what} is larger than {MAX_DOCUMENT >> 20} MiB")
    return bytes(content)


def take_blob(store: Store, files: Files, blob: Descriptor) -> None:
    """Copies a blob to the store, if it is not there yet; its size and digest are checked. Raises BaseImageError."""
    what = f"blob {blob.digest} of {files.name}"
    if store.has(blob.digest):
        if (size := store.size(blob.digest)) != blob.size:
            raise _wrong_size(what, size, blob.size)
        return
    found = _blob(files, blob.digest)
    if found.size != blob.size:
        raise _wrong_size(what, found.size, blob.size)
    with store.new_blob(blob.digest) as writer:
        with reading(what):
            for chunk in found.chunks():
                writer.write(chunk)
                if writer.size > blob.size:
                    break  # it grows while it is read
        if writer.digest != blob.digest:
            raise BaseImageError(f"{what} is damaged: its digest is {writer.digest}")
        writer.commit()
