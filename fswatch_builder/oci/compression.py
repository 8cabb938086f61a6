"""Compressed layers as streams: a thread and a pipe on the Python side, a plain file descriptor for the native core."""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from typing import TYPE_CHECKING, BinaryIO, Protocol

from fswatch_builder.model.digest import Digest
from fswatch_builder.oci import media_types
from fswatch_builder.oci.decoding import BLOCK, CompressionError, format_of, is_tar, plain_chunks, read_full

if TYPE_CHECKING:
    from fswatch_builder.oci.store import BlobWriter, Store

#: gzip's bytes depend on how its input is cut into calls; so input is always cut like this.
CHUNK = 1 << 20
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # no name, no time, operating system unknown


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
DEFAULT_LEVELS = {Compression.NONE: 0, Compression.GZIP: 2, Compression.ZSTD: 3}


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
            for part in plain_chunks(file, kind):
                plain += part
                if len(plain) >= BLOCK:
                    break
        except CompressionError:
            return False
    return bool(plain) and is_tar(plain[:BLOCK])


@contextmanager
def decompressed(source: str | bytes | int, *, max_bytes: int | None = None) -> Iterator[int]:
    """A descriptor to read the plain tar in ``source`` (a path, or a descriptor at its start) from.

    The format is told by the content. Damage, or more than ``max_bytes`` of plain data, is ``CompressionError`` on
    exit, also when the body failed because of it. A reader that stops early is no error.
    """
    with open(source, "rb", buffering=0, closefd=not isinstance(source, int)) as file:
        head = read_full(file, BLOCK)
        kind = format_of(head)
        if kind is None:
            raise CompressionError("neither a tar archive nor one compressed by gzip, bzip2, xz or zstd")
        if file.seekable():
            file.seek(0)
            if kind == "tar" and max_bytes is None:
                yield file.fileno()
                return
            head = b""
        chunks = _limited(plain_chunks(file, kind, head), max_bytes)
        with _feeding(chunks) as descriptor:
            yield descriptor


@contextmanager
def _feeding(chunks: Iterator[bytes]) -> Iterator[int]:
    reading, writing = _pipe()
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


def _pipe() -> tuple[int, int]:
    reading, writing = os.pipe()
    with suppress(PermissionError):  # past the user's share of pipe memory (pipe-user-pages-soft): 64 KiB does as well
        fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, CHUNK)
    return reading, writing


def _write_all(file: BinaryIO, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[file.write(view) :]


def _limited(chunks: Iterator[bytes], max_bytes: int | None) -> Iterator[bytes]:
    seen = 0
    for chunk in chunks:
        seen += len(chunk)
        if max_bytes is not None and seen > max_bytes:
            raise CompressionError(f"holds more than the {max_bytes} bytes allowed")
        yield chunk


# Compression.


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


class _Plain:
    def compress(self, data: bytes, /) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


class _Gzip:
    """One member whose header and trailer are written here, so that nothing of the host or the time gets in."""

    def __init__(self, level: int) -> None:
        from isal import isal_zlib

        self._deflate = isal_zlib.compressobj(level, isal_zlib.DEFLATED, -15)
        self._crc32 = isal_zlib.crc32
        self._crc = 0
        self._size = 0
        self._head = _GZIP_HEADER

    def compress(self, data: bytes, /) -> bytes:
        self._crc = self._crc32(data, self._crc)
        self._size += len(data)
        head, self._head = self._head, b""
        return head + bytes(self._deflate.compress(data))

    def flush(self) -> bytes:
        trailer = self._crc.to_bytes(4, "little") + (self._size & 0xFFFFFFFF).to_bytes(4, "little")
        return self._head + bytes(self._deflate.flush()) + trailer


def _compressor(compression: Compression, level: int | None) -> _Compressor:
    if level is None:
        level = DEFAULT_LEVELS[compression]
    match compression:
        case Compression.NONE:
            return _Plain()
        case Compression.GZIP:
            return _Gzip(level)
        case Compression.ZSTD:
            import zstandard

            # threads=1 and more give equal bytes, 0 others; two overlap the work of the reading thread.
            zstd: _Compressor = zstandard.ZstdCompressor(level=level, threads=2, write_checksum=True).compressobj()
            return zstd


class LayerSink:
    """Where a layer's tar is written to: ``fd``. It belongs to the sink: the writer leaves it open."""

    def __init__(self, blob: "BlobWriter", compressor: _Compressor) -> None:
        self._blob = blob
        self._compressor = compressor
        self._failure: BaseException | None = None
        self._reading, self.fd = _pipe()
        self._thread = threading.Thread(target=self._drain, name="compress", daemon=True)
        self._thread.start()

    def _drain(self) -> None:
        try:
            # Leaving this block for any reason closes our end: a writer meets EPIPE instead of waiting for ever.
            with open(self._reading, "rb", buffering=CHUNK) as source:
                while chunk := source.read(CHUNK):
                    self._blob.write(self._compressor.compress(chunk))
            self._blob.write(self._compressor.flush())
        except BaseException as error:  # noqa: BLE001 - it is raised again in the writer's thread
            self._failure = error

    def _close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        self._thread.join()

    def finish(self) -> tuple[Digest, int]:
        """Ends the tar and makes the blob visible in the store: its digest and size in bytes."""
        self._close()
        if self._failure is not None:
            raise self._failure
        return self._blob.commit()

    def failure(self) -> BaseException | None:
        """Why compressing ended early, if it did. Ends the tar."""
        self._close()
        return self._failure


@contextmanager
def compressing(store: "Store", compression: Compression, level: int | None = None) -> Iterator[LayerSink]:
    """A sink for one layer's tar. Without ``finish`` nothing is left in the store.

    If compressing fails, a full disk say, the writer meets a broken pipe; the cause is what is raised (OutputError).
    """
    with store.new_blob() as blob:
        sink = LayerSink(blob, _compressor(compression, level))
        try:
            yield sink
        except BrokenPipeError as error:
            cause = sink.failure()
            if cause is None:
                raise
            raise cause from error
        finally:
            sink.failure()
