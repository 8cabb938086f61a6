"""The tar reader for archives of images: same members as Python's own, bounded memory."""

import io
import os
import subprocess
import tarfile
import time
from itertools import islice
from pathlib import Path

import pytest

from fswatch_builder.oci.tarindex import TarError, members


def make(path: Path, form: int) -> None:
    with tarfile.open(path, "w", format=form) as tar:
        for name in ("short", "d/" * 60 + "long", "é" * 80, "x" * 300):
            member = tarfile.TarInfo(name)
            member.size = 700
            tar.addfile(member, io.BytesIO(b"y" * 700))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "t" * 200
        tar.addfile(link)
        directory = tarfile.TarInfo("directory")
        directory.type = tarfile.DIRTYPE
        tar.addfile(directory)


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("pipe", [False, True])
def test_members_are_those_that_python_finds(tmp_path: Path, form: int, pipe: bool) -> None:
    make(tmp_path / "x.tar", form)
    with tarfile.open(tmp_path / "x.tar") as tar:
        expected = [(m.name, m.type, m.size, m.offset_data, m.linkname) for m in tar]
    reading = -1
    if pipe:
        reading, writing = os.pipe()
        os.write(writing, (tmp_path / "x.tar").read_bytes())
        os.close(writing)
    with open(reading if pipe else tmp_path / "x.tar", "rb", buffering=0) as file:
        found = [(m.name, m.type, m.size, m.offset, m.link) for m in members(file)]
    assert found == expected


def test_members_behind_a_sparse_file_are_found(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        for part in range(60):  # the map takes three blocks behind the header
            file.seek(part * 65_536)
            file.write(b"x")
    (tmp_path / "next").touch()
    packed = [
        "tar",
        "-C",
        str(tmp_path),
        "--format=gnu",
        "--sparse",
        "--hole-detection=raw",
        "-cf",
        "-",
        "sparse",
        "next",
    ]
    (tmp_path / "x.tar").write_bytes(subprocess.run(packed, check=True, capture_output=True).stdout)
    assert (tmp_path / "x.tar").stat().st_size < 1 << 20
    with (tmp_path / "x.tar").open("rb", buffering=0) as file:
        assert [member.name for member in members(file)] == ["sparse", "next"]
    (tmp_path / "x.tar").write_bytes((tmp_path / "x.tar").read_bytes()[:512])
    with (tmp_path / "x.tar").open("rb", buffering=0) as file, pytest.raises(TarError, match="middle of a member"):
        list(members(file))


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE])
def test_a_huge_header_is_not_read_into_memory(tmp_path: Path, kind: bytes) -> None:
    member = tarfile.TarInfo("x")
    member.type, member.size = kind, 1 << 40
    (tmp_path / "x.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT))
    with open(tmp_path / "x.tar", "rb") as file, pytest.raises(TarError, match="a header of 1099511627776 bytes"):
        list(members(file))


@pytest.mark.parametrize(
    "record",
    [
        b"x",
        b"9 path",
        b"99999999999999999999 path=x\n",
        b"0 path=x\n",
        b"-5 path=x\n",
        b"11 size=-1\n",
        b"11 size=ab\n",
    ],
)
def test_a_damaged_pax_header_is_refused(tmp_path: Path, record: bytes) -> None:
    extended = tarfile.TarInfo("x")
    extended.type, extended.size = tarfile.XHDTYPE, len(record)
    content = extended.tobuf() + record.ljust(512, b"\0") + tarfile.TarInfo("y").tobuf()
    (tmp_path / "x.tar").write_bytes(content)
    with open(tmp_path / "x.tar", "rb") as file, pytest.raises(TarError):
        list(members(file))


def test_a_damaged_header_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(tarfile.TarInfo("x").tobuf() + b"x" * 512)
    with open(tmp_path / "x.tar", "rb") as file, pytest.raises(TarError, match="offset 512"):
        list(members(file))


def signed(member: tarfile.TarInfo, size: int) -> bytes:
    """A header with a size in base 256, which has a sign."""
    block = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = (0xFF << 88 | size & (1 << 88) - 1).to_bytes(12, "big")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize("pipe", [False, True])
@pytest.mark.parametrize("size", [-512, -1024, -(1 << 40)])
def test_a_negative_size_does_not_lead_back_for_ever(tmp_path: Path, size: int, pipe: bool) -> None:
    (tmp_path / "x.tar").write_bytes(signed(tarfile.TarInfo("a"), size) + bytes(1024))
    reading = -1
    if pipe:
        reading, writing = os.pipe()
        os.write(writing, (tmp_path / "x.tar").read_bytes())
        os.close(writing)
    with (
        open(reading if pipe else tmp_path / "x.tar", "rb", buffering=0) as file,
        pytest.raises(TarError, match="size"),
    ):
        list(islice(members(file), 10))


def extended(kind: bytes, content: bytes) -> bytes:
    member = tarfile.TarInfo("x")
    member.type, member.size = kind, len(content)
    return member.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512)


def test_headers_of_one_member_are_not_collected_without_end(tmp_path: Path) -> None:
    record = b"400011 a=" + b"v" * 400_001 + b"\n"
    (tmp_path / "x.tar").write_bytes(extended(tarfile.XHDTYPE, record) * 3 + tarfile.TarInfo("a").tobuf() + bytes(1024))
    with open(tmp_path / "x.tar", "rb") as file, pytest.raises(TarError, match="a header of 1200033 bytes"):
        list(members(file))


def test_a_name_that_is_kept_is_no_memory_bomb(tmp_path: Path) -> None:
    long = extended(tarfile.GNUTYPE_LONGNAME, b"n" * 100_000)
    (tmp_path / "x.tar").write_bytes(long + tarfile.TarInfo("a").tobuf() + bytes(1024))
    with open(tmp_path / "x.tar", "rb") as file, pytest.raises(TarError, match="a name of 100000 bytes"):
        list(members(file))


def test_many_records_take_no_longer_than_their_bytes(tmp_path: Path) -> None:
    records = b"6 k=v\n" * (1 << 17)
    (tmp_path / "x.tar").write_bytes(extended(tarfile.XHDTYPE, records) + tarfile.TarInfo("a").tobuf() + bytes(1024))
    started = time.monotonic()
    with open(tmp_path / "x.tar", "rb") as file:
        assert [member.name for member in members(file)] == ["a"]
    assert time.monotonic() - started < 5
