"""Shared mappings of files, by address: for calls that take one."""

import ctypes
import mmap
import os

from tests.support.system_calls import checked, libc

_REMAP_FILE_PAGES = 216  # x86-64
_MREMAP_MAYMOVE = 1
_FAILED = ctypes.c_void_p(-1).value


class Mapping:
    """Of a whole file, to read and write; nothing holds the file open but the mapping."""

    def __init__(self, path: str) -> None:
        fd = os.open(path, os.O_RDWR)
        self.length = os.fstat(fd).st_size
        arguments = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, fd, ctypes.c_long(0)
        libc.mmap.restype = ctypes.c_void_p
        self.address = _mapped(libc.mmap(None, ctypes.c_size_t(self.length), *arguments))
        os.close(fd)

    def load(self) -> bytes:
        """Its first byte."""
        return ctypes.string_at(self.address, 1)

    def store(self, content: bytes) -> None:
        ctypes.memmove(self.address, content, len(content))

    def read_into(self, fd: int, length: int) -> None:
        """Has read(2) store into it."""
        target = (ctypes.c_char * length).from_address(self.address)
        assert os.readv(fd, [target]) == length

    def punch(self, length: int) -> None:
        """MADV_REMOVE."""
        checked(libc.madvise(ctypes.c_void_p(self.address), ctypes.c_size_t(length), 9))

    def show_second_page_first(self) -> None:
        """remap_file_pages(2): from now on what is stored into the first page is the file's second."""
        page = ctypes.c_size_t(mmap.PAGESIZE)
        start, offset = ctypes.c_void_p(self.address), ctypes.c_size_t(1)
        checked(libc.syscall(_REMAP_FILE_PAGES, start, page, 0, offset, 0))

    def move_to_a_copy(self) -> None:
        """mremap(2) of no bytes: a second mapping of the same pages. The first one goes."""
        libc.mremap.restype = ctypes.c_void_p
        size, old = ctypes.c_size_t(self.length), ctypes.c_void_p(self.address)
        copy = _mapped(libc.mremap(old, ctypes.c_size_t(0), size, _MREMAP_MAYMOVE))
        self.close()
        self.address = copy

    def close(self) -> None:
        checked(libc.munmap(ctypes.c_void_p(self.address), ctypes.c_size_t(self.length)))


def _mapped(address: int | None) -> int:
    assert address not in (None, _FAILED), os.strerror(ctypes.get_errno())
    return address
