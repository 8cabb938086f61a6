"""A program that makes hard links in every way the kernel offers, run as ``python links.py WAY FROM TO``.

It makes one link and prints how the call ended: 0 or an errno.
"""

import ctypes
import mmap
import os
import platform
import struct
import sys
import threading
from collections.abc import Callable

_libc = ctypes.CDLL(None, use_errno=True)
_AT_FDCWD, _AT_SYMLINK_FOLLOW, _AT_EMPTY_PATH = -100, 0x400, 0x1000
_X32 = 0x4000_0000
_IO_URING_SETUP, _IO_URING_ENTER, _IORING_OP_LINKAT = 425, 426, 39


def _errno(result: int) -> int:
    return ctypes.get_errno() if result == -1 else 0


def link(old: bytes, new: bytes) -> int:
    return _errno(_libc.link(old, new))


def linkat_follow(old: bytes, new: bytes) -> int:
    return _errno(_libc.linkat(_AT_FDCWD, old, _AT_FDCWD, new, _AT_SYMLINK_FOLLOW))


def linkat_empty_path(old: bytes, new: bytes) -> int:
    """Needs CAP_DAC_READ_SEARCH before Linux 6.10."""
    fd = os.open(old, os.O_RDONLY)
    return _errno(_libc.linkat(fd, b"", _AT_FDCWD, new, _AT_EMPTY_PATH))


def proc_self_fd(old: bytes, new: bytes) -> int:
    fd = os.open(old, os.O_RDONLY)
    return _errno(_libc.linkat(_AT_FDCWD, b"/proc/self/fd/%d" % fd, _AT_FDCWD, new, _AT_SYMLINK_FOLLOW))


def nameless(old: bytes, new: bytes) -> int:
    """A file that is born without a name."""
    fd = os.open(os.path.dirname(new), os.O_TMPFILE | os.O_WRONLY)
    return _errno(_libc.linkat(_AT_FDCWD, b"/proc/self/fd/%d" % fd, _AT_FDCWD, new, _AT_SYMLINK_FOLLOW))


def thread(old: bytes, new: bytes) -> int:
    results: list[int] = []
    worker = threading.Thread(target=lambda: results.append(link(old, new)))
    worker.start()
    worker.join()
    return results[0]


def user_namespace(old: bytes, new: bytes) -> int:
    _libc.unshare(0x1000_0000)
    return link(old, new)


def x32(old: bytes, new: bytes) -> int:
    """Most kernels are built without it: ENOSYS."""
    return _errno(_libc.syscall(_X32 | 265, _AT_FDCWD, old, _AT_FDCWD, new, 0))


def i386(old: bytes, new: bytes) -> int:
    """A 64-bit program may enter the other ABI at any time."""
    # push rbx; mov eax, 9 (link); mov ebx, edi; mov ecx, esi; int 0x80; pop rbx; ret
    code = bytes.fromhex("53 b8 09 00 00 00 89 fb 89 f1 cd 80 5b c3")
    _libc.mmap.restype = ctypes.c_void_p
    map_32bit = 0x40
    page = _libc.mmap(
        None,
        ctypes.c_size_t(16384),
        mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC,
        mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | map_32bit,
        -1,
        0,
    )
    ctypes.memmove(page, code, len(code))
    ctypes.memmove(page + 4096, old + b"\0", len(old) + 1)
    ctypes.memmove(page + 8192 + 1, new + b"\0", len(new) + 1)
    call = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint, ctypes.c_uint)(page)
    return -int(call(page + 4096, page + 8192 + 1))


def io_uring(old: bytes, new: bytes) -> int:
    """One IORING_OP_LINKAT (linux/io_uring.h); no call of this process names a link."""
    parameters = bytearray(120)
    buffer = (ctypes.c_char * 120).from_buffer(parameters)
    ring = _libc.syscall(_IO_URING_SETUP, 1, buffer)
    if ring < 0:
        return ctypes.get_errno()
    entries, completions = struct.unpack_from("II", parameters)
    _, sq_tail, *_, sq_array = struct.unpack_from("7I", parameters, 40)  # io_sqring_offsets
    *_, cq_cqes = struct.unpack_from("6I", parameters, 80)  # io_cqring_offsets
    submission = mmap.mmap(ring, sq_array + entries * 4, offset=0)
    completion = mmap.mmap(ring, cq_cqes + completions * 16, offset=0x800_0000)
    sqes = mmap.mmap(ring, entries * 64, offset=0x1000_0000)
    names = [ctypes.create_string_buffer(name) for name in (old, new)]
    addresses = [ctypes.addressof(name) for name in names]
    # opcode, flags, ioprio, fd; addr2; addr; len (the other directory); flags
    struct.pack_into("<BBHiQQiI", sqes, 0, _IORING_OP_LINKAT, 0, 0, _AT_FDCWD, addresses[1], addresses[0], _AT_FDCWD, 0)
    struct.pack_into("I", submission, sq_array, 0)
    struct.pack_into("I", submission, sq_tail, 1)
    getevents = 1
    if _libc.syscall(_IO_URING_ENTER, ring, 1, 1, getevents, None, 0) != 1:
        return ctypes.get_errno()
    return -int(struct.unpack_from("<Qi", completion, cq_cqes)[1])


WAYS: dict[str, Callable[[bytes, bytes], int]] = {
    way.__name__: way
    for way in (link, linkat_follow, linkat_empty_path, proc_self_fd, nameless, thread, user_namespace, io_uring)
}
if platform.machine() == "x86_64":
    WAYS |= {"x32": x32, "i386": i386}

if __name__ == "__main__":
    print(WAYS[sys.argv[1]](*map(os.fsencode, sys.argv[2:])))
