"""Taking an image out of an archive: an OCI layout in a tar, or what ``docker save`` writes, told by content."""

import os
import posixpath
import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, BinaryIO, Final

import msgspec
from msgspec import Struct

from fswatch_builder.errors import BaseImageError
from fswatch_builder.model.digest import DiffID, Digest
from fswatch_builder.model.image import Descriptor, Layer
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci import configuration, documents, media_types
from fswatch_builder.oci.blobs import write_errors
from fswatch_builder.oci.compression import Compression, decompressed
from fswatch_builder.oci.decoding import BLOCK, format_of
from fswatch_builder.oci.documents import MAX_DOCUMENT, Manifest
from fswatch_builder.oci.layout import Content, import_files, load_files
from fswatch_builder.oci.limits import USUAL, UnpackLimits
from fswatch_builder.oci.reading import reading
from fswatch_builder.oci.store import Store
from fswatch_builder.oci.tarindex import Member, members

if TYPE_CHECKING:
    from fswatch_builder.oci.arrivals import Watcher

_CHUNK: Final = 1 << 20
#: An image of 127 layers has some 400 members. A tar with more is a root file system, or an attack on our memory.
_MAX_MEMBERS: Final = 20_000
#: Characters of their names, some 150 for each; they are all kept.
_MAX_NAMES: Final = 8 << 20
_MAX_LINKS: Final = 8
#: Members by which an archive of images is known.
_MARKS: Final = frozenset({"oci-layout", "index.json", "manifest.json"})
#: Directories that stand at the top of a root file system and never of an archive of images: no need to read on.
_ROOTFS_NAME: Final = re.compile("bin|boot|dev|etc|home|lib|lib64|media|mnt|opt|proc|root|run|sbin|srv|sys|tmp|usr|var")


class ArchiveKind(Enum):
    """What a tar holds."""

    OCI = "OCI archive"
    DOCKER = "docker save archive"
    ROOTFS = "root file system"


class _Saved(msgspec.Struct):
    Config: str = ""
    RepoTags: list[str] | None = None
    Layers: list[str] | None = None


class _Section(Struct, frozen=True):
    file: BinaryIO
    offset: int
    size: int

    def chunks(self) -> Iterator[bytes]:
        at, end = self.offset, self.offset + self.size
        while at < end:
            chunk = os.pread(self.file.fileno(), min(_CHUNK, end - at), at)
            if not chunk:
                raise BaseImageError("the archive became shorter while it was read")
            at += len(chunk)
            yield chunk


class _Archive:
    """The members of an uncompressed archive in a file, by name."""

    def __init__(self, name: str, file: BinaryIO) -> None:
        self.name = name
        self._file = file
        self._members: dict[str, Member] = {}
        kept = 0
        for member in members(file):
            self._members[_clean(member.name)] = member
            if len(self._members) > _MAX_MEMBERS:
                raise BaseImageError(f"{name} has more than {_MAX_MEMBERS} members: that is no image archive")
            kept += 2 * len(member.name) + len(member.link)
            if kept > _MAX_NAMES:
                raise BaseImageError(f"{name} has names of {kept} characters: that is no image archive")

    def find(self, path: str) -> Content | None:
        """See layout.Files. Links, which docker save once wrote for equal layers, lead to other members only."""
        path = _clean(path)
        for _ in range(_MAX_LINKS):
            member = self._members.get(path)
            if member is None:
                return None
            if member.regular:
                return _Section(self._file, member.offset, member.size)
            if not member.link:
                return None
            base = posixpath.dirname(path) if member.type == b"2" else ""
            path = _clean(posixpath.join(base, member.link))
        raise BaseImageError(f"{self.name}: {path} is a link to a link to a link")


def _clean(name: str) -> str:
    return posixpath.normpath("/" + name).lstrip("/")


def recognise(path: str, limits: UnpackLimits = USUAL) -> ArchiveKind:
    """What a tar, compressed or not, holds. Raises BaseImageError for what is no tar."""
    marks: set[str] = set()
    with reading(path), _opened_plain(path, limits) as file:
        for number, member in enumerate(members(file)):
            name = _clean(member.name)
            if _ROOTFS_NAME.fullmatch(name.partition("/")[0]) or number > _MAX_MEMBERS:
                return ArchiveKind.ROOTFS
            if name in _MARKS:
                marks.add(name)
            if {"oci-layout", "index.json"} <= marks:
                return ArchiveKind.OCI
    return ArchiveKind.DOCKER if "manifest.json" in marks else ArchiveKind.ROOTFS


def import_archive(store: Store, path: str, platform: Platform, watcher: "Watcher | None" = None) -> Digest:
    """The image for ``platform`` in an archive: its manifest's digest in the store. Raises BaseImageError."""
    with _opened(store, path) as (archive, kind):
        if kind is ArchiveKind.OCI:
            return import_files(store, archive, platform, watcher)
        return _import_saved(store, archive, platform, watcher)


def load_archive(store: Store, path: str, platform: Platform | None) -> list[tuple[Digest, tuple[str, ...]]]:
    """Every image for ``platform`` in an archive: its manifest's digest in the store, the names it has there. Without a
    platform that is this machine's, and an index comes whole: the digest is the index's.

    Nothing is tagged. Raises BaseImageError, also for an archive without a fitting image.
    """
    with _opened(store, path) as (archive, kind):
        if kind is ArchiveKind.OCI:
            return load_files(store, archive, platform)
        wanted = platform or Platform.host()
        fitting, _ = _fitting(archive, wanted)
        if len(fitting) < 2:
            digest = _import_saved(store, archive, wanted, None)
            return [(digest, tuple(fitting[0][0].RepoTags or ()))]
        return [
            (_take_saved(store, archive, entry, config, None), tuple(entry.RepoTags or ())) for entry, config in fitting
        ]


@contextmanager
def _opened(store: Store, path: str) -> Iterator[tuple[_Archive, ArchiveKind]]:
    kind = recognise(path, store.limits)
    if kind is ArchiveKind.ROOTFS:
        raise BaseImageError(
            f"not an image archive: {path}",
            hint="an OCI archive has index.json in it, one of docker save manifest.json",
        )
    with reading(path), _plain(store, path) as file:
        yield _Archive(path, file), kind


@contextmanager
def _opened_plain(path: str, limits: UnpackLimits) -> Iterator[BinaryIO]:
    """The plain tar in an archive; if it is not compressed, one that can be sought in."""
    limit = limits.bytes_from(os.stat(path).st_size)
    with (
        decompressed(path, max_bytes=limit) as descriptor,
        open(descriptor, "rb", buffering=0, closefd=False) as file,
    ):
        yield file


@contextmanager
def _plain(store: Store, path: str) -> Iterator[BinaryIO]:
    """The archive as a seekable file: itself, or an unpacked copy that lasts as long as this."""
    with _opened_plain(path, store.limits) as file:
        if file.seekable():
            yield file
            return
        with store.workspace() as directory, open(os.path.join(directory, "plain.tar"), "w+b") as copy:
            while chunk := file.read(_CHUNK):
                with write_errors(store.directory):
                    copy.write(chunk)
            with write_errors(store.directory):
                copy.flush()
            copy.seek(0)
            yield copy


def _fitting(archive: _Archive, platform: Platform) -> tuple[list[tuple[_Saved, bytes]], list[Platform]]:
    """Entries for a platform with their configurations, and the platforms of the others; a lone entry always fits."""
    entries = documents.decode(_read(archive, "manifest.json"), list[_Saved], f"manifest.json of {archive.name}")
    fitting: list[tuple[_Saved, bytes]] = []
    others: list[Platform] = []
    for entry in entries:
        config = _read(archive, entry.Config)
        what = f"{entry.Config} of {archive.name}"
        if configuration.serves(config, platform, what) or len(entries) == 1:
            fitting.append((entry, config))
        else:
            others.append(configuration.platform_of(config, what))
    return fitting, others


def _import_saved(store: Store, archive: _Archive, platform: Platform, watcher: "Watcher | None") -> Digest:
    fitting, others = _fitting(archive, platform)
    if len({config for _, config in fitting}) > 1:
        names = sorted(tag for entry, _ in fitting for tag in entry.RepoTags or ())
        raise BaseImageError(
            f"{archive.name} holds several images: {', '.join(names) or 'without names'}",
            hint="save the one you mean by itself",
        )
    if not fitting:
        raise BaseImageError(
            f"{archive.name} holds no image for {platform}",
            hint=f"it is for {', '.join(sorted({str(other) for other in others}))}" if others else None,
        )
    entry, config = fitting[0]
    return _take_saved(store, archive, entry, config, watcher)


def _take_saved(store: Store, archive: _Archive, entry: _Saved, config: bytes, watcher: "Watcher | None") -> Digest:
    what = f"{entry.Config} of {archive.name}"
    diff_ids = configuration.diff_ids(config, what)
    names = entry.Layers or []
    if len(diff_ids) != len(names):
        raise BaseImageError(f"{what} lists {len(diff_ids)} layers, manifest.json {len(names)}")
    found = [(name, _member(archive, name), diff_id) for name, diff_id in zip(names, diff_ids, strict=True)]
    if watcher is not None and all(_is_plain(content) for _, content, _ in found):  # else digests are not known yet
        watcher.coming([Layer(_plain_blob(diff_id, content.size), diff_id) for _, content, diff_id in found])
    layers = tuple(
        Layer(_take_layer(store, archive, name, content, diff_id), diff_id) for name, content, diff_id in found
    )
    described = Descriptor(media_types.OCI_CONFIG, store.put(config), len(config))
    manifest = Manifest(described, tuple(layer.descriptor for layer in layers))
    configuration.read(config, manifest, what)  # what cannot be read later is refused now
    return store.put(documents.write_manifest(described, layers))


def _member(archive: _Archive, name: str) -> Content:
    found = archive.find(name)
    if found is None:
        raise BaseImageError(f"{archive.name} lacks layer {name}", hint="it is incomplete: save the image again")
    return found


def _is_plain(content: Content) -> bool:
    return format_of(next(content.chunks(), b"")[:BLOCK]) == "tar"


def _plain_blob(diff_id: DiffID, size: int) -> Descriptor:
    return Descriptor(Compression.NONE.layer_media_type, Digest(diff_id.text), size)


def _take_layer(store: Store, archive: _Archive, name: str, found: Content, diff_id: DiffID) -> Descriptor:
    head = b""
    with store.new_blob(Digest(diff_id.text)) as writer:
        for chunk in found.chunks():
            if len(head) < BLOCK:
                head += chunk[: BLOCK - len(head)]
            writer.write(chunk)
        kind = format_of(head)
        if kind not in _COMPRESSIONS:
            raise BaseImageError(
                f"layer {name} of {archive.name} is {kind or 'no tar'}, which is not supported in images"
            )
        if kind == "tar" and writer.digest.text != diff_id.text:
            raise BaseImageError(
                f"layer {name} of {archive.name} is damaged: its digest is {writer.digest}, not {diff_id}"
            )
        digest, size = writer.commit()
    return Descriptor(_COMPRESSIONS[kind].layer_media_type, digest, size)


_COMPRESSIONS: Final[dict[str | None, Compression]] = {
    "tar": Compression.NONE,
    "gzip": Compression.GZIP,
    "zstd": Compression.ZSTD,
}


def _read(archive: _Archive, name: str) -> bytes:
    found = archive.find(name)
    if found is None:
        raise BaseImageError(f"{archive.name} lacks {name}", hint="it is incomplete: save the image again")
    if found.size > MAX_DOCUMENT:
        raise BaseImageError(f"{name} of {archive.name} is larger than {MAX_DOCUMENT >> 20} MiB")
    return b"".join(found.chunks())
