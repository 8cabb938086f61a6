"""Compressed layers read as streams: a thread and a pipe on the Python side, a plain descriptor for the native core."""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from itertools import chain
from typing import BinaryIO

from fswatch_builder.model.image import Descriptor
from fswatch_builder.oci import media_types
from fswatch_builder.oci.decoding import (
    BLOCK,
    CompressionError,
    format_of,
    is_tar,
    plain_chunks,
    raw_chunks,
    read_full,
    verified,
)

_PIPE = 1 << 20
_NO_FORMAT = "neither a tar archive nor one compressed by gzip, bzip2, xz or zstd"


class Compression(Enum):
    """How a layer's blob is compressed."""

    NONE = "uncompressed"
    GZIP = "gzip"
    ZSTD = "zstd"

    @property
    def layer_media_type(self) -> str:
        """The OCI media type of such a layer."""
        return _MEDIA_TYPES[self]

    @classmethod
    def of_media_type(cls, media_type: str) -> "Compression":
        """Of an OCI or Docker layer. Raises ValueError."""
        return _COMPRESSIONS[media_types.oci_layer(media_type)]


_MEDIA_TYPES = {
    Compression.NONE: media_types.OCI_LAYER,
    Compression.GZIP: media_types.OCI_LAYER_GZIP,
    Compression.ZSTD: media_types.OCI_LAYER_ZSTD,
}
_COMPRESSIONS = {media_type: compression for compression, media_type in _MEDIA_TYPES.items()}


def is_archive(source: str | bytes | int) -> bool:
    """Whether a file (a path, or a descriptor at its start) is a tar in a compression we read, whatever its name. An
    empty file is none.
    """
    with open(source, "rb", buffering=0, closefd=not isinstance(source, int)) as file:
        head = read_full(file, BLOCK)
        kind = format_of(head) if head else None
        if kind is None or kind == "tar":
            return kind == "tar"
        file.seek(0)
        try:
            plain = b""
            for part in plain_chunks(raw_chunks(file), kind):
                plain += part
                if len(plain) >= BLOCK:
                    break
        except CompressionError:
            return False
    return bool(plain) and is_tar(plain[:BLOCK])


@contextmanager
def decompressed(
    source: str | bytes | int, *, max_bytes: int | None = None, blob: Descriptor | None = None
) -> Iterator[int]:
    """A descriptor to read the plain tar in ``source`` (a path, or a descriptor at its start) from.

    The format is told by the content. Damage, more than ``max_bytes`` of plain data, or compressed data that is not the
    ``blob`` it should be, is ``CompressionError`` on exit, also when the body failed because of it. A reader that stops
    early is no error. Of a plain file its reader knows size and digest, so these are not looked at here.
    """
    with open(source, "rb", buffering=0, closefd=not isinstance(source, int)) as file:
        head = read_full(file, BLOCK)
        kind = format_of(head)
        if kind is None:
            raise CompressionError(_NO_FORMAT)
        if file.seekable():
            file.seek(0)
            if kind == "tar":
                yield file.fileno()
                return
            head = b""
        raw = raw_chunks(file, head)
        if blob is not None:
            raw = verified(raw, blob)
        with feeding(_limited(_to_the_end(plain_chunks(raw, kind), raw), max_bytes)) as descriptor:
            yield descriptor


def plain(raw: Iterator[bytes]) -> Iterator[bytes]:
    """The plain tar in compressed bytes that need not be there yet. Raises CompressionError."""
    head = b""
    while len(head) < BLOCK and (piece := next(raw, b"")):
        head += piece
    kind = format_of(head)
    if kind is None:
        raise CompressionError(_NO_FORMAT)
    return plain_chunks(chain((head,), raw), kind)


@contextmanager
def feeding(chunks: Iterator[bytes]) -> Iterator[int]:
    """A descriptor to read ``chunks`` from, which another thread makes. What it raises is raised on exit."""
    reading, writing = pipe()
    failure: list[BaseException] = []

    def feed() -> None:
        try:
            with open(writing, "wb", buffering=0) as sink:
                for chunk in chunks:
                    _write_all(sink, chunk)
        except BrokenPipeError:
            pass  # the reader has seen enough
        except BaseException as error:  # noqa: BLE001 - it is raised again in the reader's thread
            failure.append(error)

    thread = threading.Thread(target=feed, name="decompress", daemon=True)
    thread.start()
    try:
        yield reading
    except Exception as error:
        os.close(reading)
        thread.join()
        if failure:
            raise failure[0] from error
        raise
    except BaseException:
        os.close(reading)
        thread.join()
        raise
    else:
        os.close(reading)
        thread.join()
        if failure:
            raise failure[0]


def pipe() -> tuple[int, int]:
    """Both ends of a pipe that holds 1 MiB, if it may."""
    reading, writing = os.pipe()
    with suppress(PermissionError):  # past the user's share of pipe memory (pipe-user-pages-soft): 64 KiB does as well
        fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, _PIPE)
    return reading, writing


def _write_all(file: BinaryIO, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[file.write(view) :]


def _to_the_end(plain: Iterator[bytes], raw: Iterator[bytes]) -> Iterator[bytes]:
    """Reads on behind the compressed data: what follows belongs to the digest."""
    yield from plain
    for _ in raw:
        pass


def _limited(chunks: Iterator[bytes], max_bytes: int | None) -> Iterator[bytes]:
    seen = 0
    for chunk in chunks:
        seen += len(chunk)
        if max_bytes is not None and seen > max_bytes:
            raise CompressionError(f"it unpacks to more than the limit of {max_bytes} bytes (--unpack-limit)")
        yield chunk
