"""System calls that few programs use, by their numbers (x86-64 where those of architectures differ)."""

import ctypes
import errno
import fcntl
import os
import struct
import subprocess
import sys
from pathlib import Path

from tests.support.system_calls import AT_FDCWD, checked, libc

FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_ZERO_RANGE, FALLOC_FL_INSERT_RANGE = 0x08, 0x10, 0x20

_IO_SETUP, _IO_DESTROY, _IO_GETEVENTS, _IO_SUBMIT = 206, 207, 208, 209
_IOCB_CMD_PWRITE = 1

# The same on all architectures.
_OPEN_TREE, _PIDFD_GETFD, _MOUNT_SETATTR, _SETXATTRAT, _REMOVEXATTRAT = 428, 438, 442, 463, 466
_OPEN_TREE_CLONE, _AT_EMPTY_PATH, _AT_RECURSIVE = 1, 0x1000, 0x8000
_MOUNT_ATTR_IDMAP = 0x0010_0000

_EXT4_IOC_MOVE_EXT, _EXT4_IOC_SWAP_BOOT, _XFS_IOC_SWAPEXT = 0xC028660F, 0x6611, 0xC0C0586D

_FS_IOC_FSGETXATTR, _FS_IOC_FSSETXATTR = 0x801C581F, 0x401C5820


def setxattrat(path: str, name: bytes, value: bytes) -> None:
    """setxattrat(2), Linux 6.13."""
    buffer = ctypes.create_string_buffer(value, len(value))
    arguments = struct.pack("=QII", ctypes.addressof(buffer), len(value), 0)
    # The last one is on the stack, where half a word would be left as it is.
    size = ctypes.c_size_t(len(arguments))
    checked(libc.syscall(_SETXATTRAT, AT_FDCWD, os.fsencode(path), 0, name, arguments, size))


def removexattrat(path: str, name: bytes) -> None:
    checked(libc.syscall(_REMOVEXATTRAT, AT_FDCWD, os.fsencode(path), 0, name))


def set_project(path: str, project: int) -> None:
    """As `chattr -p` does. struct fsxattr: flags, extent size, extents, project, and what is not used."""
    fd = os.open(path, os.O_RDONLY)
    try:
        attributes = bytearray(28)
        fcntl.ioctl(fd, _FS_IOC_FSGETXATTR, attributes)
        struct.pack_into("=I", attributes, 12, project)
        fcntl.ioctl(fd, _FS_IOC_FSSETXATTR, attributes)
    finally:
        os.close(fd)


def idmapped_clone(directory: str, *, outside: int) -> int:
    """A mount of ``directory`` that is attached nowhere, where ``outside`` owns what belongs to root."""
    clone = checked(libc.syscall(_OPEN_TREE, AT_FDCWD, os.fsencode(directory), _OPEN_TREE_CLONE))
    command = ["unshare", "--user", sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        for table in ("uid_map", "gid_map"):
            with open(f"/proc/{child.pid}/{table}", "w") as file:
                file.write(f"0 {outside} 1\n{outside} 0 1")
        namespace = os.open(f"/proc/{child.pid}/ns/user", os.O_RDONLY)
        child.communicate(b"\n")
    attributes = struct.pack("=QQQQ", _MOUNT_ATTR_IDMAP, 0, 0, namespace)
    size = ctypes.c_size_t(len(attributes))
    checked(libc.syscall(_MOUNT_SETATTR, clone, b"", _AT_EMPTY_PATH, attributes, size))
    os.close(namespace)
    return clone


def link_descriptor(fd: int, path: str) -> None:
    """linkat(2) with AT_EMPTY_PATH."""
    checked(libc.linkat(fd, b"", AT_FDCWD, os.fsencode(path), _AT_EMPTY_PATH))


def take_descriptor(pid: int, number: int) -> int:
    """pidfd_getfd(2), Linux 5.6."""
    pidfd = os.pidfd_open(pid)
    try:
        return checked(libc.syscall(_PIDFD_GETFD, pidfd, number, 0))
    finally:
        os.close(pidfd)


def process_vm_writev(pid: int, address: int, data: bytes) -> None:
    buffer = ctypes.create_string_buffer(data, len(data))
    ours = struct.pack("=QQ", ctypes.addressof(buffer), len(data))
    theirs = struct.pack("=QQ", address, len(data))
    assert checked(libc.process_vm_writev(pid, ours, 1, theirs, 1, 0)) == len(data)


def vmsplice(pipe: int, data: bytes) -> int:
    buffer = ctypes.create_string_buffer(data, len(data))
    return checked(libc.vmsplice(pipe, struct.pack("=QQ", ctypes.addressof(buffer), len(data)), 1, 0))


def aio_write(fd: int, data: bytes, offset: int) -> None:
    """io_submit(2), and waits for it."""
    if os.uname().machine != "x86_64":
        raise OSError(errno.ENOSYS, "the numbers of these calls are those of x86-64")
    context = ctypes.c_uint64()
    checked(libc.syscall(_IO_SETUP, 1, ctypes.byref(context)))
    buffer = ctypes.create_string_buffer(data, len(data))
    # struct iocb: data, key, flags, opcode, priority, descriptor; buffer, length, offset; what is not used.
    block = struct.pack("=QIIHhIQQq24x", 0, 0, 0, _IOCB_CMD_PWRITE, 0, fd, ctypes.addressof(buffer), len(data), offset)
    kept = ctypes.create_string_buffer(block, len(block))
    blocks = (ctypes.c_void_p * 1)(ctypes.addressof(kept))
    checked(libc.syscall(_IO_SUBMIT, context, 1, blocks))
    events = ctypes.create_string_buffer(32)
    assert checked(libc.syscall(_IO_GETEVENTS, context, 1, 1, events, None)) == 1
    result = struct.unpack_from("=q", events, 16)[0]
    checked(libc.syscall(_IO_DESTROY, context))
    assert result == len(data), result


def move_extents(fd: int, donor: int, length: int) -> None:
    """EXT4_IOC_MOVE_EXT: the blocks of two files change places. What ``fd`` holds goes along, ``donor`` gets the rest.

    struct move_extent: what is not used, donor; where in either, and length, in blocks of 4096 bytes; blocks moved.
    """
    argument = bytearray(struct.pack("=IIQQQQ", 0, donor, 0, 0, length // 4096, 0))
    fcntl.ioctl(fd, _EXT4_IOC_MOVE_EXT, argument)
    assert struct.unpack_from("=Q", argument, 32)[0] == length // 4096


def exchange_with_boot_loader(fd: int) -> None:
    """EXT4_IOC_SWAP_BOOT: what the file holds changes places with what an inode for boot loaders does."""
    fcntl.ioctl(fd, _EXT4_IOC_SWAP_BOOT)


def exchange_contents(one: Path, other: Path) -> None:
    """What two files of one size on xfs hold changes places, and no stat says so."""
    with open(one, "r+") as first, open(other, "r+") as second:
        swap_extents(first.fileno(), second.fileno())


def swap_extents(fd: int, other: int) -> None:
    """XFS_IOC_SWAPEXT, which xfs_fsr uses: two files of one size change what they hold.

    struct xfs_swapext: version, both files, offset, length, what is not used; then struct xfs_bstat, of which size,
    mtime and ctime have to be those of the first file.
    """
    state = os.fstat(fd)
    known = bytearray(136)
    struct.pack_into("=q", known, 32, state.st_size)
    struct.pack_into("=qi", known, 56, *divmod(state.st_mtime_ns, 10**9))
    struct.pack_into("=qi", known, 72, *divmod(state.st_ctime_ns, 10**9))
    fcntl.ioctl(fd, _XFS_IOC_SWAPEXT, bytearray(struct.pack("=qqqqq16x", 0, fd, other, 0, state.st_size) + known))
