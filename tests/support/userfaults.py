"""userfaultfd(2): a process fills the pages that another, or itself, would fault in."""

import ctypes
import fcntl
import mmap
import os
import struct

from tests.support.system_calls import checked, libc

_USERFAULTFD = 323  # x86-64
_USER_MODE_ONLY = 1
_API, _REGISTER, _COPY = 0xC018AA3F, 0xC020AA00, 0xC028AA03
_MODE_MISSING = 1


def fill_hole(mapped: mmap.mmap, content: bytes) -> None:
    """UFFDIO_COPY: the first page of ``mapped`` becomes one that holds ``content``, and no instruction stores to it.

    struct uffdio_api: version, features, calls. struct uffdio_register: start, length, mode, calls. struct uffdio_copy: to,
    from, length, mode, bytes copied.
    """
    page = mmap.PAGESIZE
    fault = checked(libc.syscall(_USERFAULTFD, os.O_CLOEXEC | _USER_MODE_ONLY))
    start = ctypes.addressof(ctypes.c_char.from_buffer(mapped))
    source = ctypes.create_string_buffer(content.ljust(page, b"\0"), page)
    try:
        fcntl.ioctl(fault, _API, struct.pack("=QQQ", 0xAA, 0, 0))
        fcntl.ioctl(fault, _REGISTER, struct.pack("=QQQQ", start, page, _MODE_MISSING, 0))
        fcntl.ioctl(fault, _COPY, struct.pack("=QQQQq", start, ctypes.addressof(source), page, 0, 0))
    finally:
        os.close(fault)
