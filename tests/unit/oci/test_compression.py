"""Layers through pipes and threads: every usual format, damage, bombs, full disks."""

import bz2
import errno
import gzip
import io
import lzma
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from msgspec.structs import replace

from fswatch_builder.errors import OutputError
from fswatch_builder.model.digest import Digest
from fswatch_builder.model.image import Descriptor
from fswatch_builder.oci.blobs import BlobWriter
from fswatch_builder.oci.compression import Compression, decompressed, is_archive
from fswatch_builder.oci.decoding import CompressionError, format_of, plain_chunks
from fswatch_builder.oci.packing import Recipe, compressing
from fswatch_builder.oci.store import Store


def tar_of(size: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo("data")
        member.size = size
        tar.addfile(member, io.BytesIO(os.urandom(size)))
    return buffer.getvalue()


TAR = tar_of(2 << 20)


def zstd(content: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(content)


SKIPPABLE = b"\x50\x2a\x4d\x18\x04\x00\x00\x00skip"
PACKED = {
    "plain": TAR,
    "gzip": gzip.compress(TAR),
    "bzip2": bz2.compress(TAR),
    "xz": lzma.compress(TAR),
    "zstd": zstd(TAR),
    "gzip members (estargz)": b"".join(gzip.compress(TAR[at : at + 70_000]) for at in range(0, len(TAR), 70_000)),
    "gzip with an empty member": gzip.compress(b"") + gzip.compress(TAR),
    "gzip, trailing zeros": gzip.compress(TAR) + bytes(1000),
    "gzip, trailing rubbish": gzip.compress(TAR) + b"rubbish" * 100,
    "bzip2 streams": bz2.compress(TAR[:1000]) + bz2.compress(TAR[1000:]),
    "xz streams": lzma.compress(TAR[:1000]) + lzma.compress(TAR[1000:]),
    "zstd frames": zstd(TAR[:1000]) + zstd(TAR[1000:]),
    "zstd:chunked": SKIPPABLE + zstd(TAR[:1000]) + SKIPPABLE + zstd(TAR[1000:]) + SKIPPABLE,
}


def read_all(descriptor: int) -> bytes:
    return b"".join(iter(lambda: os.read(descriptor, 1 << 16), b""))


@pytest.mark.parametrize("name", PACKED)
def test_every_format_is_told_by_its_content(tmp_path: Path, name: str) -> None:
    path = tmp_path / "blob.whatever"
    path.write_bytes(PACKED[name])
    with decompressed(str(path)) as descriptor:
        assert read_all(descriptor) == TAR
    assert is_archive(str(path))


@pytest.mark.parametrize("name", ["plain", "gzip", "zstd"])
def test_a_pipe_can_be_the_source(name: str) -> None:
    small = tar_of(1000)
    content = {"plain": small, "gzip": gzip.compress(small), "zstd": zstd(small)}[name]
    reading, writing = os.pipe()
    os.write(writing, content)
    os.close(writing)
    with decompressed(reading) as descriptor:
        assert read_all(descriptor) == small
    os.close(reading)


def test_an_empty_file_is_an_empty_layer_but_no_archive_to_add(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with decompressed(str(tmp_path / "empty")) as descriptor:
        assert read_all(descriptor) == b""
    assert not is_archive(str(tmp_path / "empty"))


@pytest.mark.parametrize("name", ["gzip", "bzip2", "xz", "zstd", "zstd frames"])
@pytest.mark.parametrize("cut", [1, 5, 1000, 1 << 20])
def test_data_cut_short_is_an_error(tmp_path: Path, name: str, cut: int) -> None:
    (tmp_path / "cut").write_bytes(PACKED[name][:-cut])
    with pytest.raises(CompressionError), decompressed(str(tmp_path / "cut")) as descriptor:
        read_all(descriptor)


@pytest.mark.parametrize("name", ["gzip", "bzip2", "xz", "zstd"])
def test_damaged_data_is_an_error_that_hides_no_other(tmp_path: Path, name: str) -> None:
    content = bytearray(PACKED[name])
    for at in range(len(content) // 2, len(content) // 2 + 64):
        content[at] ^= 0xFF
    (tmp_path / "damaged").write_bytes(content)

    def read_as_tar() -> None:
        with decompressed(str(tmp_path / "damaged")) as descriptor:
            read_all(descriptor)
            raise ValueError("the tar ends early")

    with pytest.raises(CompressionError) as caught:
        read_as_tar()
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize("content", [b"#!/bin/sh\n" * 100, b"\0" * 100 + b"x" * 1000, b"short"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(CompressionError, match="neither a tar"), decompressed(str(tmp_path / "file")):
        pass
    assert not is_archive(str(tmp_path / "file"))


def test_compressed_text_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(b"just text" * 1000))
    assert not is_archive(str(tmp_path / "x.tar.gz"))
    (tmp_path / "x.tar.gz").write_bytes(b"\x1f\x8b\x08 not gzip at all")
    assert not is_archive(str(tmp_path / "x.tar.gz"))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstd])
def test_a_bomb_stops_at_the_limit(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    (tmp_path / "bomb").write_bytes(pack(bytes(8 << 20)))
    seen = 0

    def read_counting() -> None:
        nonlocal seen
        with decompressed(str(tmp_path / "bomb"), max_bytes=2 << 20) as descriptor:
            while part := os.read(descriptor, 1 << 20):
                seen += len(part)

    with pytest.raises(CompressionError, match="more than the limit of 2097152 bytes"):
        read_counting()
    assert seen <= 2 << 20


@pytest.mark.parametrize("name", [name for name in PACKED if name != "plain"])
def test_compressed_data_is_the_blob_it_should_be(tmp_path: Path, name: str) -> None:
    content = PACKED[name]
    (tmp_path / "blob").write_bytes(content)
    blob = Descriptor("", Digest.of(content), len(content))

    def read(expected: Descriptor) -> bytes:
        with decompressed(str(tmp_path / "blob"), blob=expected) as descriptor:
            return read_all(descriptor)

    assert read(blob) == TAR
    with pytest.raises(CompressionError, match=f"blob {blob.digest} is damaged: it has {len(content)} bytes, not"):
        read(replace(blob, size=blob.size + 1))
    with pytest.raises(CompressionError, match=f"blob {blob.digest} is damaged: it has more than"):
        read(replace(blob, size=blob.size - 1))
    with pytest.raises(CompressionError, match="is damaged: its digest is sha256:"):
        read(replace(blob, digest=Digest.of(b"another")))


def test_a_reader_may_stop_early(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(PACKED["gzip"])
    with decompressed(str(tmp_path / "blob")) as descriptor:
        assert os.read(descriptor, 512) == TAR[:512]
    with pytest.raises(KeyError), decompressed(str(tmp_path / "blob")):
        raise KeyError


@pytest.mark.parametrize("compression", Compression)
def test_a_layer_is_stored_and_read_again(store: Store, compression: Compression) -> None:
    with compressing(store, Recipe(compression)) as sink:
        with open(sink.fd, "wb", closefd=False) as file:
            file.write(TAR)
        digest, size = sink.finish()
    assert os.path.getsize(store.blob_path(digest)) == size
    with decompressed(store.blob_path(digest)) as descriptor:
        assert read_all(descriptor) == TAR


def recipes() -> list[Recipe]:
    """Every compressor in use, by its levels too."""
    leveled = [Recipe(Compression.GZIP, level) for level in (0, 1, 3, 4, 6, 9)] + [Recipe(Compression.ZSTD, 19)]
    return [*map(Recipe, Compression), *leveled]


@pytest.mark.parametrize("recipe", recipes())
def test_the_blob_does_not_depend_on_how_the_tar_was_written(
    store: Store, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = set()
    for step, processors in ((512, {0}), (10_240, {0, 1}), (65_537, set(range(64))), (len(TAR), {0})):
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid, known=processors: known)
        with compressing(store, recipe) as sink:
            with open(sink.fd, "wb", buffering=0, closefd=False) as file:
                for at in range(0, len(TAR), step):
                    part = memoryview(TAR[at : at + step])
                    while part:
                        part = part[file.write(part) :]
            digests.add(sink.finish()[0])
    assert len(digests) == 1


@pytest.mark.parametrize(("compression", "levels"), [(Compression.GZIP, (1, 9)), (Compression.ZSTD, (1, 19))])
def test_a_higher_level_is_smaller_and_the_same_tar(
    store: Store, compression: Compression, levels: tuple[int, int]
) -> None:
    text = b"".join(b"%d squared is %d\n" % (number, number**2) for number in range(50_000))
    sizes = []
    for level in levels:
        with compressing(store, Recipe(compression, level)) as sink:
            with open(sink.fd, "wb", closefd=False) as file:
                file.write(text)
            digest, size = sink.finish()
        with open(store.blob_path(digest), "rb") as blob:
            head = blob.read(512)
        with open(store.blob_path(digest), "rb") as blob:
            assert b"".join(plain_chunks(blob, format_of(head) or "")) == text
        sizes.append(size)
    assert sizes[0] > sizes[1]


def test_gzip_holds_neither_name_nor_time(store: Store) -> None:
    with compressing(store, Recipe(Compression.GZIP)) as sink:
        digest, _ = sink.finish()
    with open(store.blob_path(digest), "rb") as file:
        content = file.read()
    assert content[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    assert gzip.decompress(content) == b""


def test_without_finish_nothing_is_stored(store: Store) -> None:
    with compressing(store, Recipe(Compression.GZIP)) as sink:
        os.write(sink.fd, TAR[:1000])
    with pytest.raises(KeyError), compressing(store, Recipe(Compression.GZIP)) as sink:
        raise KeyError
    assert os.listdir(os.path.join(store.directory, "blobs/sha256")) == []


@pytest.mark.parametrize("compression", Compression)
def test_a_full_disk_is_told_and_nobody_hangs(
    store: Store, compression: Compression, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def write(self, content: bytes) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def close(self) -> None: ...

    make = BlobWriter.__init__

    def broken(self: BlobWriter, *arguments: object) -> None:
        make(self, *arguments)  # type: ignore[arg-type]
        self._file.close()
        self._file = Full()  # type: ignore[assignment]

    monkeypatch.setattr(BlobWriter, "__init__", broken)

    def pack() -> None:
        with compressing(store, Recipe(compression)) as sink:
            with open(sink.fd, "wb", buffering=0, closefd=False) as file:
                file.writelines([TAR] * 20)  # more than the pipe holds: without EPIPE this would block for ever
            sink.finish()

    with pytest.raises(OutputError, match="No space left on device"):
        pack()
