"""Compressing layers: a tar comes in through a pipe, a blob of the store comes out, its digest reckoned on the way.

The bytes depend on the tar, the compressor, its version and its level, and on nothing else: not on how many processors
there are, not on how the tar was cut into writes.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

from fswatch_builder.model.digest import Digest
from fswatch_builder.oci.compression import Compression, pipe

if TYPE_CHECKING:
    from fswatch_builder.oci.store import BlobWriter, Store

#: Bytes. ISA-L's deflate depends on how its input is cut into calls; so all input is cut like this.
CHUNK: Final = 1 << 20
_GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # no name, no time, operating system unknown
#: Levels 1 to 3 are ISA-L's: five times as fast as zlib's for the same ratio. It has no higher ones.
_ISAL_LEVELS: Final = range(1, 4)
#: More threads gain little beside those that pack, and each has its buffers.
_MOST_THREADS: Final = 4
#: Levels above have windows of 32 to 128 MiB, and tables to match: one thread of those is enough.
_LAST_MODEST_LEVEL: Final = 19

LEVELS: Final = {Compression.NONE: range(0), Compression.GZIP: range(10), Compression.ZSTD: range(1, 23)}
"""The levels that may be asked for."""

_DEFAULT_LEVELS: Final = {Compression.NONE: 0, Compression.GZIP: 2, Compression.ZSTD: 3}


class Recipe(Struct, frozen=True):
    """How a blob is made of a tar. Invariant: ``level`` is one of ``LEVELS``; None stands for the default."""

    compression: Compression
    level: int | None = None

    def __post_init__(self) -> None:
        if self.level is not None and self.level not in LEVELS[self.compression]:
            raise ValueError(f"{self.compression.value} has no level {self.level}")


class Compressor(Protocol):
    """A stream of compressed bytes in the making."""

    def compress(self, data: bytes | memoryview, /) -> bytes | memoryview:
        """What is ready after ``data``, which may be ``data`` itself."""

    def flush(self) -> bytes:
        """The rest, once."""


class _Plain:
    def compress(self, data: bytes | memoryview, /) -> bytes | memoryview:
        return data

    def flush(self) -> bytes:
        return b""


class _Gzip:
    """One member whose header and trailer are written here, so that nothing of the host or the time gets in."""

    def __init__(self, level: int) -> None:
        from isal import isal_zlib

        self._crc32 = isal_zlib.crc32
        if level in _ISAL_LEVELS:
            self._deflate: Compressor = isal_zlib.compressobj(level, isal_zlib.DEFLATED, -15)
        else:
            import zlib

            self._deflate = zlib.compressobj(level, zlib.DEFLATED, -15)
        self._crc = 0
        self._size = 0
        self._head = _GZIP_HEADER

    def compress(self, data: bytes | memoryview, /) -> bytes:
        self._crc = self._crc32(data, self._crc)
        self._size += len(data)
        head, self._head = self._head, b""
        return head + bytes(self._deflate.compress(data))

    def flush(self) -> bytes:
        trailer = self._crc.to_bytes(4, "little") + (self._size & 0xFFFFFFFF).to_bytes(4, "little")
        return self._head + bytes(self._deflate.flush()) + trailer


def compressor(recipe: Recipe) -> Compressor:
    """Fed with the pieces of ``pieces``, it gives the bytes of the blob."""
    level = _DEFAULT_LEVELS[recipe.compression] if recipe.level is None else recipe.level
    match recipe.compression:
        case Compression.NONE:
            return _Plain()
        case Compression.GZIP:
            return _Gzip(level)
        case Compression.ZSTD:
            import zstandard

            # One thread and more give equal bytes, none at all others: jobs are cut by size. zstd's own choice is four
            # windows; one makes 0.4% larger blobs in a third of the memory, and several jobs of a small layer too.
            most = _MOST_THREADS if level <= _LAST_MODEST_LEVEL else 1
            parameters = zstandard.ZstdCompressionParameters.from_level(
                level,
                threads=min(len(os.sched_getaffinity(0)), most),
                job_size=1 << zstandard.ZstdCompressionParameters.from_level(level).window_log,
                write_checksum=True,
            )
            zstd: Compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
            return zstd


def pieces(descriptor: int) -> Iterator[memoryview]:
    """What comes in, in pieces of exactly ``CHUNK`` bytes but for the last. Each one is overwritten by the next."""
    buffer = memoryview(bytearray(CHUNK))
    filled = CHUNK
    while filled == CHUNK:
        filled = 0
        while filled < CHUNK and (count := os.readv(descriptor, [buffer[filled:]])):
            filled += count
        if filled:
            yield buffer[:filled]


class LayerSink:
    """Where a layer's tar is written to: ``fd``. It belongs to the sink: the writer leaves it open."""

    def __init__(self, blob: "BlobWriter", compressor: Compressor) -> None:
        self._blob = blob
        self._compressor = compressor
        self._failure: BaseException | None = None
        self._reading, self.fd = pipe()
        self._thread = threading.Thread(target=self._drain, name="compress", daemon=True)
        self._thread.start()

    def _drain(self) -> None:
        try:
            for piece in pieces(self._reading):
                self._blob.write(self._compressor.compress(piece))
            self._blob.write(self._compressor.flush())
        except BaseException as error:  # noqa: BLE001 - it is raised again in the writer's thread
            self._failure = error
        finally:
            # For whatever reason we end: a writer meets EPIPE instead of waiting for ever.
            os.close(self._reading)

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
def compressing(store: "Store", recipe: Recipe) -> Iterator[LayerSink]:
    """A sink for one layer's tar. Without ``finish`` nothing is left in the store.

    If compressing fails, a full disk say, the writer meets a broken pipe; the cause is what is raised (OutputError).
    """
    with store.new_blob() as blob:
        sink = LayerSink(blob, compressor(recipe))
        try:
            yield sink
        except BrokenPipeError as error:
            cause = sink.failure()
            if cause is None:
                raise
            raise cause from error
        finally:
            sink.failure()
