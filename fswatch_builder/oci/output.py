"""Writing an image to a file, a directory or standard output: whole, or not at all."""

import csv
import hashlib
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import BinaryIO, Final, Literal, Self

import msgspec

from fswatch_builder import _native
from fswatch_builder.errors import OutputError, StoreError, UsageError
from fswatch_builder.model.image import Descriptor
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci import documents
from fswatch_builder.oci.blobs import sync_directory, write_errors
from fswatch_builder.oci.documents import Manifest
from fswatch_builder.oci.exchange import exchange
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.store import CONTAINERD_NAME, LAYOUT, REF_NAME, Store
from fswatch_builder.oci.validate import validate

_TYPES: Final = ("oci", "docker")
_LATER_TYPES: Final = ("local", "tar", "image", "registry", "cacheonly")
_COPY: Final = 1 << 20
_LAYOUT_NAMES: Final = frozenset({"oci-layout", "index.json", "blobs", "manifest.json"})


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """``--output``: ``tar`` False is a directory. ``dest`` ``-`` is standard output."""

    type: Literal["oci", "docker"]
    dest: str
    tar: bool = True

    @classmethod
    def parse(cls, text: str) -> Self:
        """From ``type=oci,dest=PATH[,tar=false]``, with CSV quotes as docker takes them. Raises UsageError."""
        fields = _fields(text)
        kind = fields.pop("type", None)
        dest = fields.pop("dest", None)
        tar = _boolean(fields.pop("tar", "true"), text)
        if kind in _LATER_TYPES:
            raise UsageError(f"--output type={kind} is not supported yet", hint="use type=oci or type=docker")
        if kind not in _TYPES:
            raise UsageError(
                f"--output {text}: " + ("no type" if kind is None else f"unknown type {kind!r}"),
                hint="use type=oci or type=docker",
            )
        if fields:
            raise UsageError(f"--output {text}: {next(iter(fields))!r} is not supported", hint="use type, dest and tar")
        if not dest:
            raise UsageError(f"--output {text}: no destination", hint="add dest=PATH, or dest=- for standard output")
        if kind == "docker" and not tar:
            raise UsageError(f"--output {text}: a docker archive is always a tar", hint="use type=oci,tar=false")
        if dest == "-" and not tar:
            raise UsageError(f"--output {text}: a directory does not fit through standard output")
        return cls("docker" if kind == "docker" else "oci", dest, tar)


def _fields(text: str) -> dict[str, str]:
    try:
        (row,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError) as error:
        raise UsageError(f"--output {text}: {error}") from None
    if len(row) == 1 and "=" not in row[0]:
        return {"type": "tar" if row[0] == "-" else "local", "dest": row[0]}
    fields: dict[str, str] = {}
    for item in row:
        key, equals, value = item.partition("=")
        key = key.strip().lower()
        if not equals:
            raise UsageError(f"--output {text}: {item!r} is not KEY=VALUE")
        if key in fields:
            raise UsageError(f"--output {text}: {key} is given twice")
        fields[key] = value
    return fields


def _boolean(value: str, text: str) -> bool:
    if value.lower() in ("true", "1", "t"):
        return True
    if value.lower() in ("false", "0", "f"):
        return False
    raise UsageError(f"--output {text}: tar is true or false, not {value!r}")


@dataclass(frozen=True, slots=True)
class _Document:
    name: str
    content: bytes

    @property
    def size(self) -> int:
        return len(self.content)


@dataclass(frozen=True, slots=True)
class _Blob:
    name: str
    path: str
    size: int


def write_output(store: Store, manifest: Descriptor, names: Sequence[Reference], spec: OutputSpec) -> str:
    """Writes an image under all its names: the path written, or ``-``. Raises OutputError, StoreError."""
    read = validate(store, manifest)
    platform = store.load_image(manifest.digest).platform
    files = _files(store, manifest, read, names, platform, docker=spec.type == "docker")
    if spec.dest == "-":
        if sys.stdout.isatty():
            raise UsageError("an archive is not written to a terminal", hint="redirect it, or give dest=PATH")
        with write_errors("standard output"):
            _write_tar(files, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        return spec.dest
    with write_errors(spec.dest):
        # realpath reads links and does not follow them, so it must not be the first to meet one that the kernel would
        # not follow: someone else's in /tmp (proc(5), protected_symlinks).
        with suppress(FileNotFoundError):
            os.stat(spec.dest)
        dest = os.path.realpath(spec.dest)
        if spec.tar:
            _write_file(files, dest)
        else:
            _write_directory(files, dest, store)
    return spec.dest


def _files(
    store: Store,
    manifest: Descriptor,
    read: Manifest,
    names: Sequence[Reference],
    platform: Platform,
    *,
    docker: bool,
) -> list[_Document | _Blob]:
    """Everything the layout holds, sorted by name."""
    blobs = {blob.digest: blob for blob in (manifest, read.config, *read.layers)}
    files: list[_Document | _Blob] = [
        _Blob(_blob_name(blob), store.blob_path(blob.digest), blob.size) for blob in blobs.values()
    ]
    files.append(_Document("oci-layout", LAYOUT))
    files.append(_Document("index.json", _index(manifest, names, platform)))
    if docker:
        saved = {
            "Config": _blob_name(read.config),
            "RepoTags": [name.without_digest().familiar() for name in names],
            "Layers": [_blob_name(layer) for layer in read.layers],
        }
        files.append(_Document("manifest.json", msgspec.json.encode([saved])))
    return sorted(files, key=lambda file: file.name)


def _blob_name(blob: Descriptor) -> str:
    return f"blobs/sha256/{blob.digest.hex}"


def _index(manifest: Descriptor, names: Sequence[Reference], platform: Platform) -> bytes:
    annotations: list[dict[str, str]] = []
    for name in names:
        tagged = name.without_digest()
        annotations.append({CONTAINERD_NAME: str(tagged), REF_NAME: tagged.tag or ""})
    entries = [Descriptor(manifest.media_type, manifest.digest, manifest.size, named) for named in annotations or [{}]]
    return documents.write_index([documents.descriptor_document(entry, platform) for entry in entries])


def _write_tar(files: Sequence[_Document | _Blob], sink: BinaryIO) -> None:
    """Deterministic: sorted, no times, no owners."""
    import tarfile

    for directory in ("blobs", "blobs/sha256"):
        member = tarfile.TarInfo(directory + "/")
        member.type, member.mode = tarfile.DIRTYPE, 0o755
        sink.write(member.tobuf(tarfile.GNU_FORMAT))
    for file in files:
        member = tarfile.TarInfo(file.name)
        member.mode, member.size = 0o644, file.size
        sink.write(member.tobuf(tarfile.GNU_FORMAT))
        _copy(file, sink)
        sink.write(bytes(-file.size % tarfile.BLOCKSIZE))
    sink.write(bytes(2 * tarfile.BLOCKSIZE))


def _copy(file: _Document | _Blob, sink: BinaryIO) -> None:
    """Exactly the bytes that the digest promises: damage on our disk must not reach others."""
    if isinstance(file, _Document):
        sink.write(file.content)
        return
    copied, seen = 0, hashlib.sha256()
    with open(file.path, "rb", buffering=0) as source:
        while chunk := source.read(_COPY):
            seen.update(chunk)
            sink.write(chunk)
            copied += len(chunk)
    if copied != file.size or seen.hexdigest() != os.path.basename(file.name):
        raise StoreError(
            f"{file.path} is damaged: its content has another digest",
            hint="remove it, then load or pull the base again, or build with --no-cache",
        )


def _write_file(files: Sequence[_Document | _Blob], dest: str) -> None:
    try:
        mode = os.stat(dest).st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    if stat.S_ISDIR(mode):
        raise OutputError(f"{dest} is a directory", hint="give the path of a file, or tar=false for a directory")
    if not stat.S_ISREG(mode):  # a pipe, /dev/stdout: written to, never replaced
        with open(dest, "wb") as sink:
            _write_tar(files, sink)
        return
    draft = _beside(dest)
    try:
        with open(draft, "xb") as sink:
            _write_tar(files, sink)
            sink.flush()
            os.fsync(sink.fileno())
        os.rename(draft, dest)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(draft)
        raise
    sync_directory(os.path.dirname(dest))


def _beside(dest: str) -> str:
    return os.path.join(os.path.dirname(dest), f".{os.path.basename(dest)}.{os.urandom(4).hex()}.tmp")


def _write_directory(files: Sequence[_Document | _Blob], dest: str, store: Store) -> None:
    exists = _check_replaceable(dest, store)
    with _draft_directory(dest) as draft:
        os.makedirs(os.path.join(draft, "blobs", "sha256"))
        for file in files:
            with open(os.path.join(draft, file.name), "xb") as sink:
                _copy(file, sink)
                sink.flush()
                os.fsync(sink.fileno())
        for directory in ("blobs/sha256", "blobs", "."):
            sync_directory(os.path.join(draft, directory))
        if exists:
            exchange(draft, dest)  # what was there is now the draft, and goes with it
        else:
            os.rename(draft, dest)
        sync_directory(os.path.dirname(dest))


@contextmanager
def _draft_directory(dest: str) -> Iterator[str]:
    draft = _beside(dest)
    os.mkdir(draft)
    try:
        yield draft
    finally:
        with suppress(FileNotFoundError):
            _native.remove_tree(os.fsencode(draft))


def _check_replaceable(dest: str, store: Store) -> bool:
    """Whether there is a directory to replace: empty, or a layout and nothing but that."""
    try:
        names = set(os.listdir(dest))
    except FileNotFoundError:
        return False
    except NotADirectoryError:
        raise OutputError(f"{dest} is a file", hint="remove it, or leave out tar=false") from None
    if os.path.samefile(dest, store.directory):
        raise OutputError(f"{dest} is the local store itself", hint="give another directory")
    if names and ("oci-layout" not in names or names - _LAYOUT_NAMES):
        raise OutputError(
            f"{dest} holds other things than an OCI image layout, which would be lost", hint="give another directory"
        )
    return True
