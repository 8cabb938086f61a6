"""The members of a tar archive, header by header, in bounded memory. For archives of images; layers go natively."""

import os
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, Final

from msgspec import Struct

_BLOCK: Final = tarfile.BLOCKSIZE
#: A long name or a pax header that is larger is an attack on our memory (bytes).
_MAX_EXTENSION: Final = 1 << 20
#: Bytes of a name. Names are kept, so they count; those in archives of images have some eighty.
_MAX_NAME: Final = 4096


_MORE_IN_HEADER: Final = 482
_MORE_IN_BLOCK: Final = 504


class TarError(ValueError):
    """No tar, or a damaged one."""


class Member(Struct, frozen=True):
    """One member. ``offset`` is where its content starts; ``link`` is set for hard and symbolic links."""

    name: str
    type: bytes
    size: int
    offset: int
    link: str = ""

    @property
    def regular(self) -> bool:
        """Whether it is a plain file."""
        return self.type in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)


def members(file: BinaryIO) -> Iterator[Member]:
    """All members of an uncompressed tar, in its order. ``file`` is read forwards from its start. Raises TarError."""
    reader = _Forward(file)
    extended: dict[str, str] = {}
    extension = 0
    while found := _header(reader):
        header, block = found
        size = header.size
        if size < 0:  # base-256 numbers have a sign: the next header would be this one, for ever
            raise TarError(f"a size of {size}")
        if header.type in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
            extension += size
            if extension > _MAX_EXTENSION:
                raise TarError(f"a header of {extension} bytes")
            content = reader.read(size)
            reader.skip(-size % _BLOCK)
            if header.type == tarfile.XHDTYPE:
                extended.update(_pax(content))
            elif header.type == tarfile.GNUTYPE_LONGNAME:
                extended["path"] = content.rstrip(b"\0").decode("utf-8", "surrogateescape")
            elif header.type == tarfile.GNUTYPE_LONGLINK:
                extended["linkpath"] = content.rstrip(b"\0").decode("utf-8", "surrogateescape")
            continue  # a global header says nothing that matters here
        if header.type == tarfile.GNUTYPE_SPARSE:
            _skip_map(reader, block)
        if "size" in extended:
            size = _number(extended["size"])
        has_content = header.type not in (
            tarfile.LNKTYPE,
            tarfile.SYMTYPE,
            tarfile.DIRTYPE,
            tarfile.CHRTYPE,
            tarfile.BLKTYPE,
        )
        size = size if has_content else 0
        link = extended.get("linkpath", header.linkname) if header.type in (tarfile.LNKTYPE, tarfile.SYMTYPE) else ""
        name = extended.get("path", header.name)
        if max(len(name), len(link)) > _MAX_NAME:
            raise TarError(f"a name of {max(len(name), len(link))} bytes")
        yield Member(name, header.type, size, reader.position, link)
        reader.skip(size + -size % _BLOCK)
        extended, extension = {}, 0


class _Forward:
    """Reads a file or a pipe forwards."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._seekable = file.seekable()
        self._end = os.fstat(file.fileno()).st_size if self._seekable else 0
        self.position = 0

    def read(self, size: int) -> bytes:
        """Exactly that many bytes; fewer, none at the end, only in the first block of a header."""
        content = b""
        while len(content) < size and (part := self._file.read(size - len(content))):
            content += part
        self.position += len(content)
        if len(content) < size and content:
            raise TarError("the archive ends in the middle of a member")
        return content

    def skip(self, size: int) -> None:
        """Goes on."""
        if self._seekable:
            self.position += size
            if self.position > self._end:
                raise TarError("the archive ends in the middle of a member")
            self._file.seek(self.position)
            return
        while size:
            part = self._file.read(min(size, 1 << 20))
            if not part:
                raise TarError("the archive ends in the middle of a member")
            size -= len(part)
            self.position += len(part)


def _skip_map(reader: _Forward, header: bytes) -> None:
    """The map of a sparse file goes on in blocks behind its header, as long as a flag says so."""
    more = header[_MORE_IN_HEADER]
    while more:
        block = reader.read(_BLOCK)
        if not block:
            raise TarError("the archive ends in the middle of a member")
        more = block[_MORE_IN_BLOCK]


def _header(reader: _Forward) -> tuple[tarfile.TarInfo, bytes] | None:
    block = reader.read(_BLOCK)
    if not block or not any(block):
        return None  # the end, marked or not
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape"), block
    except tarfile.HeaderError as error:
        raise TarError(f"not a tar header at offset {reader.position - _BLOCK}: {error}") from None


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise TarError(f"a size of {text!r}")
    return int(text)


def _pax(content: bytes) -> dict[str, str]:
    r"""``LENGTH KEY=VALUE\\n`` records (pax, IEEE 1003.1)."""
    records: dict[str, str] = {}
    at = 0
    while at < len(content) and content[at] != 0:
        space = content.find(b" ", at, at + 10)
        length = content[at:space] if space > 0 else b""
        if not length.isdigit() or not len(length) + 1 < int(length) <= len(content) - at:
            raise TarError("a damaged pax header")
        record, at = content[space + 1 : at + int(length) - 1], at + int(length)
        key, _, value = record.partition(b"=")
        records[key.decode("utf-8", "surrogateescape")] = value.decode("utf-8", "surrogateescape")
    return records
