"""Calls of xfs that take a file by its handle, for programs that back it up. All need CAP_SYS_ADMIN."""

import ctypes
import fcntl
import os
import struct

from tests.support.system_calls import checked, libc

_PATH_TO_HANDLE, _OPEN_BY_HANDLE, _ATTRMULTI_BY_HANDLE = 0xC0385869, 0xC038586B, 0x4048587B
_ATTR_OP_SET = 2


def _request(
    path: int = 0, flags: int = 0, given: int = 0, length: int = 0, told: int = 0, told_length: int = 0
) -> bytes:
    """struct xfs_fsop_handlereq: descriptor, path, open flags, handle and its length, and where they are to be told."""
    return struct.pack("=I4xQI4xQI4xQQ", 0, path, flags, given, length, told, told_length)


def _handle_of(path: str, mount: int) -> ctypes.Array[ctypes.c_char]:
    name = ctypes.create_string_buffer(os.fsencode(os.path.abspath(path)))
    handle, length = ctypes.create_string_buffer(64), ctypes.c_uint32(64)
    request = _request(path=ctypes.addressof(name), told=ctypes.addressof(handle), told_length=ctypes.addressof(length))
    fcntl.ioctl(mount, _PATH_TO_HANDLE, request)
    return ctypes.create_string_buffer(handle.raw[: length.value], length.value)


def open_without_stamps(path: str) -> int:
    """XFS_IOC_OPEN_BY_HANDLE: what is written through the descriptor moves neither mtime nor ctime."""
    mount = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        handle = _handle_of(path, mount)
        request = _request(flags=os.O_RDWR, given=ctypes.addressof(handle), length=len(handle))
        return checked(libc.ioctl(mount, ctypes.c_ulong(_OPEN_BY_HANDLE), request))
    finally:
        os.close(mount)


def set_attribute_by_handle(path: str, name: bytes, value: bytes) -> None:
    """XFS_IOC_ATTRMULTI_BY_HANDLE, with one user attribute.

    struct xfs_attr_multiop: what to do, error, name, value, length, flags.
    """
    mount = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        handle = _handle_of(path, mount)
        key, content = ctypes.create_string_buffer(name), ctypes.create_string_buffer(value, len(value))
        pointers = ctypes.addressof(key), ctypes.addressof(content)
        operation = ctypes.create_string_buffer(struct.pack("=IiQQII", _ATTR_OP_SET, 0, *pointers, len(value), 0))
        request = _request(given=ctypes.addressof(handle), length=len(handle))
        fcntl.ioctl(mount, _ATTRMULTI_BY_HANDLE, request + struct.pack("=I4xQ", 1, ctypes.addressof(operation)))
        error = -struct.unpack_from("=i", operation.raw, 4)[0]
        if error:
            raise OSError(error, os.strerror(error))
    finally:
        os.close(mount)
