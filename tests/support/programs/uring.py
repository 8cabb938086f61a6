"""Writes, truncations and allocations asked for by io_uring: no system call names the file."""

import ctypes
import mmap
import os
import struct

from tests.support.programs.actor import Actor, Operation, action, checked, libc, opened

_SETUP, _ENTER = 425, 426  # the same on all architectures: asm-generic/unistd.h
_OFF_SUBMISSION, _OFF_COMPLETION, _OFF_ENTRIES = 0, 0x8000000, 0x10000000
_GET_EVENTS = 1
_FALLOCATE, _WRITE, _FTRUNCATE = 17, 23, 55  # linux/io_uring.h


def submitted(opcode: int, file: int, address: int, length: int, offset: int) -> int:
    """One request from start to end: its result, or its error. The ring is gone then."""
    parameters = (ctypes.c_uint32 * 30)()
    ring = checked(libc.syscall(_SETUP, 2, parameters))
    try:
        # struct io_uring_params: ten numbers, then the offsets in the submission and in the completion ring.
        entries, completions = parameters[0], parameters[1]
        _, tail, _, _, _, _, array = parameters[10:17]
        events = parameters[25]
        with (
            mmap.mmap(ring, array + 4 * entries, offset=_OFF_SUBMISSION) as queue,
            mmap.mmap(ring, events + 16 * completions, offset=_OFF_COMPLETION) as answers,
            mmap.mmap(ring, 64 * entries, offset=_OFF_ENTRIES) as requests,
        ):
            requests[:64] = struct.pack("<BBHiQQII24x", opcode, 0, 0, file, offset, address, length, 0).ljust(64, b"\0")
            queue[array : array + 4] = struct.pack("<I", 0)
            queue[tail : tail + 4] = struct.pack("<I", 1)
            checked(libc.syscall(_ENTER, ring, 1, 1, _GET_EVENTS, None, 0))
            _, result = struct.unpack_from("<Qi", answers, events)
    finally:
        os.close(ring)
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return int(result)


@action
def write_by_io_uring(actor: Actor, take: Operation) -> None:
    path = actor.file(take.one)
    with opened(path, os.O_WRONLY) as file:
        data = ctypes.create_string_buffer(bytes([take.number]) * 6, 6)
        submitted(_WRITE, file, ctypes.addressof(data), 6, take.other % 3)
    actor.say(f"io_uring: write {take.number}s to {path!r}")


@action
def allocate_by_io_uring(actor: Actor, take: Operation) -> None:
    path = actor.file(take.one)
    with opened(path, os.O_WRONLY) as file:
        # The length is where the address of a write is, the mode where its length is.
        submitted(_FALLOCATE, file, os.fstat(file).st_size + take.number + 1, 0, 0)
    actor.say(f"io_uring: fallocate {path!r}")


@action
def truncate_by_io_uring(actor: Actor, take: Operation) -> None:
    path = actor.file(take.one)
    with opened(path, os.O_WRONLY) as file:
        submitted(_FTRUNCATE, file, 0, 0, take.number)
    actor.say(f"io_uring: ftruncate {path!r} to {take.number}")
