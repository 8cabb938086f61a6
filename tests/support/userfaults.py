"""userfaultfd(2): a process fills the pages that another, or itself, would fault in."""

import ctypes
import errno
import fcntl
import mmap
import os
import struct

from tests.support.system_calls import checked, libc

_USERFAULTFD, _USER_MODE_ONLY = 323, 1
_API, _REGISTER, _COPY = 0xC018AA3F, 0xC020AA00, 0xC028AA03
_MODE_MISSING = 1


def fill_hole(address: int, content: bytes) -> None:
    """UFFDIO_COPY: the page at ``address`` gets ``content``, and no instruction stores it. It had none before.

    struct uffdio_api: version, features, calls. struct uffdio_register: start, length, mode, calls. struct uffdio_copy:
    to, from, length, mode, bytes copied.
    """
    if os.uname().machine != "x86_64":
        raise OSError(errno.ENOSYS, "the number of this call is that of x86-64")
    page = mmap.PAGESIZE
    source = ctypes.create_string_buffer(content.ljust(page, b"\0"), page)
    faults = checked(libc.syscall(_USERFAULTFD, os.O_CLOEXEC | _USER_MODE_ONLY))
    try:
        fcntl.ioctl(faults, _API, struct.pack("=QQQ", 0xAA, 0, 0))
        fcntl.ioctl(faults, _REGISTER, struct.pack("=QQQQ", address, page, _MODE_MISSING, 0))
        fcntl.ioctl(faults, _COPY, struct.pack("=QQQQq", address, ctypes.addressof(source), page, 0, 0))
    finally:
        os.close(faults)
