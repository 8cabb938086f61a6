"""The tar reader for archives of images: same members as Python's own, bounded memory."""

import io
import os
import tarfile
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
