"""Decompression as a stream of bounded chunks, whatever the ratio; formats are told by content."""

import hashlib
import os
from collections.abc import Callable, Iterator
from itertools import chain
from typing import BinaryIO, Final, Protocol, cast

from fswatch_builder.model.image import Descriptor

BLOCK: Final = 512  # of a tar, bytes
_CHUNK: Final = 1 << 20
_READ: Final = 256 << 10
_WINDOW_MAX: Final = 1 << 27  # the most zstd(1) accepts without --long
_XZ_MEMORY: Final = 256 << 20


class CompressionError(ValueError):
    """Data is damaged, cut short, larger than allowed, or of no format we know."""


def format_of(head: bytes) -> str | None:
    """``gzip``, ``bzip2``, ``xz``, ``zstd``, ``tar`` by the first 512 bytes (none: an empty tar); None: unknown."""
    for magic, name in (
        (b"\x1f\x8b\x08", "gzip"),
        (b"BZh", "bzip2"),
        (b"\xfd7zXZ\x00", "xz"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
    ):
        if head.startswith(magic):
            return name
    if (
        head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50
    ):  # a skippable zstd frame, as zstd:chunked may start with
        return "zstd"
    return "tar" if is_tar(head) else None


def is_tar(head: bytes) -> bool:
    """Whether the first 512 bytes are a tar header, by its checksum, or the end of an empty tar."""
    if not head or (len(head) >= BLOCK and not any(head[:BLOCK])):
        return True
    if len(head) < BLOCK:
        return False
    field = head[148:156].strip(b" \0")
    try:
        stated = int(field, 8)
    except ValueError:
        return False
    return stated == sum(head[:148]) + 8 * 0x20 + sum(head[156:BLOCK])


def read_full(file: BinaryIO, size: int) -> bytes:
    """``size`` bytes, or all there are."""
    content = b""
    while len(content) < size and (part := file.read(size - len(content))):
        content += part
    return content


def verified(chunks: Iterator[bytes], blob: Descriptor) -> Iterator[bytes]:
    """The bytes of a blob, which are those it is named by: at their end, CompressionError if not."""
    hasher = hashlib.sha256()
    size = 0
    for chunk in chunks:
        hasher.update(chunk)
        size += len(chunk)
        if size > blob.size:
            break
        yield chunk
    if size != blob.size:
        amount = f"more than {blob.size} bytes" if size > blob.size else f"{size} bytes, not {blob.size}"
        raise CompressionError(f"blob {blob.digest} is damaged: it has {amount}")
    if hasher.hexdigest() != blob.digest.hex:
        raise CompressionError(f"blob {blob.digest} is damaged: its digest is sha256:{hasher.hexdigest()}")


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def needs_input(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def plain_chunks(compressed: Iterator[bytes], kind: str) -> Iterator[bytes]:
    """The plain bytes of data of format ``kind``. Raises CompressionError. What follows the data may be left unread."""
    if kind == "tar":
        return compressed
    if kind == "zstd":
        return _zstd_chunks(compressed)
    if kind == "bzip2":
        import bz2

        return _member_chunks(compressed, bz2.BZ2Decompressor, b"BZh", (OSError, EOFError, ValueError))
    if kind == "xz":
        import lzma

        def xz() -> _Decompressor:
            return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)

        return _member_chunks(compressed, xz, b"\xfd7zXZ\x00", (lzma.LZMAError, EOFError, ValueError))
    from isal import igzip_lib

    def gzip() -> _Decompressor:
        decompressor: _Decompressor = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
        return decompressor

    errors = cast(tuple[type[Exception], ...], (igzip_lib.IsalError, EOFError, ValueError))
    return _member_chunks(compressed, gzip, b"\x1f\x8b\x08", errors)


def raw_chunks(file: BinaryIO, head: bytes = b"") -> Iterator[bytes]:
    """``head`` and what follows in ``file``, as it is."""
    if head:
        yield head
    while chunk := file.read(_READ):
        yield chunk


def _member_chunks(
    compressed: Iterator[bytes],
    decompressor: Callable[[], _Decompressor],
    magic: bytes,
    errors: tuple[type[Exception], ...],
) -> Iterator[bytes]:
    """Members one after the other, as estargz writes them. What follows and is no member is padding, as for gzip(1)."""
    pending = b""
    while True:
        member = decompressor()
        try:
            while not member.eof:
                if not pending and member.needs_input:
                    pending = next(compressed, b"")
                    if not pending:
                        raise CompressionError("the compressed data is cut short")
                plain = member.decompress(pending, _CHUNK)
                pending = b""
                if plain:
                    yield plain
        except errors as error:
            if isinstance(error, CompressionError):
                raise
            raise CompressionError(f"the compressed data is damaged: {error}") from error
        pending = member.unused_data
        while len(pending) < len(magic) and (more := next(compressed, b"")):
            pending += more
        if not pending.startswith(magic):
            return


class _Chunks:
    """The ``read`` that zstandard wants, over an iterator."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    def read(self, _size: int = -1) -> bytes:
        return next(self._chunks, b"")


def _zstd_chunks(compressed: Iterator[bytes]) -> Iterator[bytes]:
    """Frames one after the other, skippable ones skipped, as zstd:chunked writes them.

    zstandard's reader bounds its output but takes a cut stream for a whole one. So a frame of our own is put behind the
    last: if its content does not come out at the end, the last frame has swallowed it, hence was cut.
    """
    import zstandard

    # The checksum at its end tells its content from the frame itself, swallowed as the raw bytes of a cut block.
    mark = os.urandom(16)
    stream = chain(compressed, (zstandard.ZstdCompressor(write_checksum=True).compress(mark),))
    decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW_MAX)
    source = cast(BinaryIO, _Chunks(stream))  # no more than read() is asked of it
    reader = decompressor.stream_reader(source, read_across_frames=True)
    held = b""
    try:
        while chunk := reader.read(_CHUNK):
            held += chunk
            if len(held) > len(mark):
                yield held[: -len(mark)]
                held = held[-len(mark) :]
    except zstandard.ZstdError as error:
        raise CompressionError(f"the compressed data is damaged: {error}") from error
    if held != mark:
        raise CompressionError("the compressed data is cut short")
