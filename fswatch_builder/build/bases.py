"""Where bases come from: a directory, a file, a layout, the store, a registry. All end as an image in the store."""

import hashlib
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import msgspec

from fswatch_builder._native import ArchiveError, Baseline, HintSet, RefusedError, Rootfs, pack_layer
from fswatch_builder.errors import BaseImageError
from fswatch_builder.model.digest import DiffID, Digest
from fswatch_builder.model.image import DEFAULT_PATH, Descriptor, History, Image, Layer, RunConfig
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci.blobs import write_errors
from fswatch_builder.oci.compression import Compression
from fswatch_builder.oci.keeping.kept import Kind
from fswatch_builder.oci.packing import Recipe, compressing
from fswatch_builder.oci.reference import IMAGE_SCHEME, Reference
from fswatch_builder.oci.store import Store

if TYPE_CHECKING:
    from fswatch_builder.build.kept_bases import KeptBases
    from fswatch_builder.model.hash_mode import HashMode

_LAYOUT_SCHEME: Final = "oci-layout://"
_IMPORT: Final = Compression.GZIP
#: A file that changed this recently (seconds) may change again without its times telling: it is not remembered.
_RACY_S: Final = 2
_COPY: Final = 1 << 20
_NOTE: Final = "base"


class _Imported(msgspec.Struct):
    """What is remembered of an import: its manifest; of a directory also the file system (``Rootfs.file_system``)."""

    manifest: str
    file_system: bytes | None = None


def bases(value: str, store: Store, platform: Platform, kept: "KeptBases | None" = None) -> Digest:
    """The manifest, in the store, of the image that the value of a named context, or a FROM, stands for.

    ``docker-image://NAME`` is looked up in the store, then pulled; ``oci-layout://DIR`` is read; a path is a directory
    of files or an archive, told by its content; any other value is a name as in
    ``docker-image://``. A FROM should use that scheme, lest a directory of the same name comes first. With ``kept``
    what is new is unpacked while it is taken in. Raises BaseImageError, RegistryError.
    """
    if value.startswith(IMAGE_SCHEME):
        return _named(value.removeprefix(IMAGE_SCHEME), store, platform, kept)
    if value.startswith(_LAYOUT_SCHEME):
        from fswatch_builder.oci.layout import import_layout

        return import_layout(store, value, platform, kept)
    try:
        status = os.stat(value)
    except (FileNotFoundError, NotADirectoryError):
        if value.startswith(("/", "./", "../")):
            raise BaseImageError(
                f"no such file or directory: {value}", hint="check the path of the base image"
            ) from None
        return _named(value, store, platform, kept)
    except (OSError, ValueError) as error:
        raise BaseImageError(f"cannot read {value}: {error}") from error
    if stat.S_ISDIR(status.st_mode):
        return _directory(value, store, platform)
    if not stat.S_ISREG(status.st_mode):
        raise BaseImageError(f"{value} is neither a file nor a directory", hint="a base is a directory or an archive")
    return _file(value, status, store, platform, kept)


def refreshed(value: str, store: Store, platform: Platform, kept: "KeptBases | None" = None) -> Digest:
    """As ``bases``, but an image is asked for at its registry, whether or not the store has it."""
    if value.startswith(IMAGE_SCHEME):
        from fswatch_builder.oci.registry import pull

        return pull(store, _reference(value.removeprefix(IMAGE_SCHEME)), platform, kept)
    return bases(value, store, platform, kept)


def _named(name: str, store: Store, platform: Platform, kept: "KeptBases | None") -> Digest:
    reference = _reference(name)
    found = store.find(reference, platform)
    if found is not None:
        return found
    from fswatch_builder.oci.registry import pull

    return pull(store, reference, platform, kept)


def _reference(name: str) -> Reference:
    try:
        return Reference.parse(name)
    except ValueError as error:
        raise BaseImageError(str(error), hint="a base is NAME[:TAG], a path, or a named context") from None


def _key(path: str, platform: Platform, *facts: int) -> bytes:
    """Fields with their lengths, so that no two lists of fields are written alike."""
    fields = [os.fsencode(os.path.realpath(path)), str(platform).encode(), *(str(fact).encode() for fact in facts)]
    return hashlib.sha256(b"".join(len(field).to_bytes(8, "big") + field for field in fields)).digest()


def _recall(store: Store, key: bytes) -> _Imported | None:
    value = store.memory.recall(_NOTE, key)
    known = msgspec.json.decode(value, type=_Imported) if value is not None else None
    return known if known is not None and store.is_whole(Digest(known.manifest)) else None


# Files.


def _file(path: str, status: os.stat_result, store: Store, platform: Platform, kept: "KeptBases | None") -> Digest:
    key = _key(path, platform, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    known = _recall(store, key)
    if known is not None:
        return Digest(known.manifest)
    from fswatch_builder.oci.archive import ArchiveKind, import_archive, recognise

    if recognise(path, store.limits) is ArchiveKind.ROOTFS:
        layer = _tar_layer(path, store) if kept is None else _unpacked_meanwhile(path, store, kept)
        image = _image(layer, platform, "imported from a root file system archive")
        manifest = store.put_image(image).digest
    else:
        manifest = import_archive(store, path, platform, kept)
    if time.time() - status.st_ctime > _RACY_S:
        store.memory.note(_NOTE, key, msgspec.json.encode(_Imported(manifest.text)))
    return manifest


def _unpacked_meanwhile(path: str, store: Store, kept: "KeptBases") -> Layer:
    """No step can be cached on top of what is new, so the first one needs its files."""
    ahead = kept.unpack_ahead(path)
    layer = _tar_layer(path, store)
    if ahead is not None:
        kept.expect(ahead, layer.diff_id)
    return layer


def _tar_layer(path: str, store: Store) -> Layer:
    from fswatch_builder.oci.compression import decompressed
    from fswatch_builder.oci.reading import reading

    plain = hashlib.sha256()
    limit = store.limits.bytes_from(os.stat(path).st_size)
    with (
        reading(path),
        decompressed(path, max_bytes=limit) as source,
        compressing(store, Recipe(_IMPORT)) as sink,
    ):
        while chunk := os.read(source, _COPY):
            plain.update(chunk)
            view = memoryview(chunk)
            while view:
                view = view[os.write(sink.fd, view) :]
        digest, size = sink.finish()
    layer = Layer(Descriptor(_IMPORT.layer_media_type, digest, size), DiffID.from_raw(plain.digest()))
    store.memory.record_layer(layer)
    return layer


def _image(layer: Layer | None, platform: Platform, comment: str) -> Image:
    """Nothing in it tells of this host or this hour: the same files make the same image."""
    layers = () if layer is None else (layer,)
    history = tuple(History(comment=comment) for _ in layers)
    return Image(platform, RunConfig(env=(DEFAULT_PATH,)), layers, history)


# Directories.


def _directory(path: str, store: Store, platform: Platform) -> Digest:
    """Imported as one layer. The baseline is kept, so that next time only what changed since is looked at twice."""
    inside = os.path.realpath(store.directory)
    if os.path.commonpath([inside, os.path.realpath(path)]) == os.path.realpath(path):
        raise BaseImageError(
            f"{path} holds the local store ({store.directory}), which would become part of the image",
            hint="use another directory, or another store with --store",
        )
    if os.path.isfile(os.path.join(path, "oci-layout")) and os.path.isdir(os.path.join(path, "blobs")):
        raise BaseImageError(
            f"{path} is an OCI image layout, not the directory of a root file system",
            hint=f"the image in it is oci-layout://{path}",
        )
    key = _key(path, platform)
    known = _recall(store, key)
    with _told(path):
        rootfs = Rootfs(os.fsencode(path))
        file_system = rootfs.file_system
        if known is not None and _unchanged(rootfs, file_system, store, key, known):
            return Digest(known.manifest)
    manifest, baseline = _imported(rootfs, path, store, platform)
    _remember(store, path, key, _Imported(manifest.text, file_system), baseline, known)
    return manifest


def import_tree(path: str, store: Store, platform: Platform) -> Digest:
    """A directory that is never seen again, as one layer: nothing is remembered of it. Raises BaseImageError."""
    with _told(path):
        rootfs = Rootfs(os.fsencode(path))
    return _imported(rootfs, path, store, platform)[0]


def _imported(rootfs: Rootfs, path: str, store: Store, platform: Platform) -> tuple[Digest, Baseline]:
    with _told(path):
        baseline = Baseline.empty(rootfs)
        changes = baseline.reconcile(rootfs, _everything())
        layer = None
        if len(changes):
            with compressing(store, Recipe(_IMPORT)) as sink:
                packed = pack_layer(rootfs, baseline, changes, sink.fd, others_write=True)
                digest, size = sink.finish()
            layer = Layer(Descriptor(_IMPORT.layer_media_type, digest, size), DiffID.from_raw(packed.diff_id))
            store.memory.record_layer(layer)
        baseline.advance(changes)
        del changes  # as large as the tree, and so is what comes next
    return store.put_image(_image(layer, platform, "imported from a directory")).digest, baseline


@contextmanager
def _told(path: str) -> Iterator[None]:
    """What cannot be read or be in an image is a BaseImageError about the directory."""
    try:
        yield
    except (RefusedError, ArchiveError) as error:
        raise BaseImageError(
            f"{path}: {os.fsdecode(error.path)}: {error.reason}", hint="a base holds no such file"
        ) from error
    except OSError as error:
        raise BaseImageError(f"cannot read {path}: {error}") from error


def _everything() -> HintSet:
    hints = HintSet()
    hints.add(b"", "subtree")
    return hints


def _unchanged(rootfs: Rootfs, file_system: bytes | None, store: Store, key: bytes, known: _Imported) -> bool:
    record = _record(key, known)
    with store.kept.use(Kind.BASELINE, record) as found:
        if found.path is None:
            return False
        try:
            baseline = Baseline.open(os.fsencode(found.path))
            # What a power cut took away had its stat already; and on another file system a stat proves nothing.
            is_proof = found.of_this_boot and file_system is not None and file_system == known.file_system
            mode: HashMode = "evidence" if is_proof else "all"
            changed = len(baseline.reconcile(rootfs, _everything(), hash=mode))
        except RefusedError:  # of another version, or damaged
            return False
        if not changed and not is_proof:
            store.kept.believe(Kind.BASELINE, record)
            store.memory.note(_NOTE, key, msgspec.json.encode(_Imported(known.manifest, file_system)))
        return not changed


def _record(key: bytes, imported: _Imported) -> Digest:
    """What the baseline of a directory, as it was imported, is kept as."""
    return Digest.of(key + imported.manifest.encode())


def _remember(
    store: Store, path: str, key: bytes, now: _Imported, baseline: Baseline, before: _Imported | None
) -> None:
    with write_errors(store.directory), store.workspace() as draft:
        saved = os.path.join(draft, "baseline")
        baseline.save(os.fsencode(saved))
        for outdated in (now, before):
            if outdated is not None:
                store.kept.remove(Kind.BASELINE, _record(key, outdated))
        with store.kept.use(Kind.BASELINE, _record(key, now)):
            store.kept.publish(Kind.BASELINE, _record(key, now), saved, label=path)
        store.memory.note(_NOTE, key, msgspec.json.encode(now))
