"""System calls that few programs use."""

import ctypes
import errno
import mmap
import os
import resource
import struct
from collections.abc import Callable

from tests.conformance.tree import OLD, Impossible, mutation, write
from tests.support.rare_calls import (
    FALLOC_FL_COLLAPSE_RANGE,
    FALLOC_FL_INSERT_RANGE,
    FALLOC_FL_ZERO_RANGE,
    aio_write,
    idmapped_clone,
    link_descriptor,
    process_vm_writev,
    removexattrat,
    set_project,
    setxattrat,
    take_descriptor,
    vmsplice,
)
from tests.support.system_calls import FALLOC_FL_KEEP_SIZE, Ring, fallocate

BLOCK = 4096


def shifted(mode: int, path: str) -> None:
    with open(path, "r+b") as file:
        try:
            fallocate(file.fileno(), mode, 0, BLOCK)
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.EINVAL):
                raise Impossible("the file system shifts no extents") from error
            raise


@mutation
def insert_a_range_and_restore_the_time() -> None:
    shifted(FALLOC_FL_INSERT_RANGE, "wide/49")
    os.utime("wide/49", (OLD, OLD))


@mutation
def insert_a_range_and_collapse_it_and_restore_the_time() -> None:
    shifted(FALLOC_FL_INSERT_RANGE, "wide/49")
    shifted(FALLOC_FL_COLLAPSE_RANGE, "wide/49")
    os.utime("wide/49", (OLD, OLD))


@mutation
def zero_a_range_and_restore_the_time() -> None:
    with open("wide/49", "r+b") as file:
        try:
            fallocate(file.fileno(), FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 10, 20)
        except OSError as error:
            if error.errno == errno.EOPNOTSUPP:
                raise Impossible("the file system zeroes no range") from error
            raise
    os.utime("wide/49", (OLD, OLD))


@mutation
def set_an_attribute_by_the_new_call() -> None:
    unless_missing(setxattrat, "usr/bin/tool", b"user.new", b"value")


@mutation
def set_and_remove_an_attribute_by_the_new_calls() -> None:
    unless_missing(setxattrat, "usr/bin/tool", b"user.new", b"value")
    unless_missing(removexattrat, "usr/bin/tool", b"user.new")


@mutation
def set_a_project_id() -> None:
    """No part of an image: it is the host's quota."""
    unless_missing(set_project, "usr/bin/tool", 42)


def unless_missing(call: Callable[..., None], *arguments: object) -> None:
    try:
        call(*arguments)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTTY):
            raise Impossible(f"neither kernel nor file system know it: {error.strerror}") from error
        raise


@mutation
def write_and_create_through_a_clone_with_other_owners() -> None:
    """An idmapped mount of the tree, attached nowhere (mount_setattr(2))."""
    try:
        clone = idmapped_clone(".", outside=1000)
    except OSError as error:
        raise Impossible(f"no idmapped mount: {error.strerror}") from error
    for name in ("etc/passwd", "etc/made"):
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600, dir_fd=clone)
        os.write(fd, b"through a clone\n")
        os.close(fd)
    os.chmod("usr/bin/tool", 0o700, dir_fd=clone)


def while_mapped(store: Callable[[int, int], None]) -> None:
    """Calls ``store`` with a process that has mapped a file, which nobody has open any more, and where it has it."""
    mapped_in, told = os.pipe()
    waits, end = os.pipe()
    child = os.fork()
    if child == 0:
        fd = os.open("usr/bin/tool", os.O_RDWR)
        mapped = mmap.mmap(fd, 0)
        os.close(fd)
        os.write(told, str(ctypes.addressof(ctypes.c_char.from_buffer(mapped))).encode())
        os.read(waits, 1)
        os._exit(0)
    store(child, int(os.read(mapped_in, 32)))
    os.write(end, b"x")
    os.waitpid(child, 0)


@mutation
def store_into_the_mapping_of_another_process() -> None:
    while_mapped(lambda child, address: process_vm_writev(child, address, b"FROM AFAR"))


@mutation
def store_by_the_memory_file_of_another_process() -> None:
    """As a debugger does, by /proc/PID/mem."""

    def store(child: int, address: int) -> None:
        memory = os.open(f"/proc/{child}/mem", os.O_RDWR)
        os.pwrite(memory, b"FROM AFAR", address)
        os.close(memory)

    while_mapped(store)


@mutation
def give_pages_to_a_pipe_and_the_pipe_to_a_file() -> None:
    read, write_end = os.pipe()
    assert vmsplice(write_end, b"pages") == 5
    with open("usr/bin/tool", "r+b") as target:
        assert os.splice(read, target.fileno(), 5) == 5


@mutation
def write_by_a_registered_file_whose_descriptor_is_closed() -> None:
    """The ring holds the file, and goes with its process."""
    try:
        ring = Ring()
    except OSError as error:
        raise Impossible(f"no io_uring: {error.strerror}") from error
    fd = os.open("usr/bin/tool", os.O_WRONLY)
    ring.register(fd)
    os.close(fd)
    ring.write_registered(b"RING", 3)
    os._exit(0)


@mutation
def write_by_aio() -> None:
    fd = os.open("usr/bin/tool", os.O_WRONLY)
    try:
        aio_write(fd, b"AIO", 2)
    except OSError as error:
        if error.errno == errno.ENOSYS:
            raise Impossible("this kernel was built without aio") from error
        raise
    os.close(fd)


@mutation
def times_of_long_ago_and_of_far_ahead() -> None:
    os.utime("etc/passwd", ns=(0, -(10**9) * 86400 * 365 + 1))
    os.utime("usr/bin/tool", ns=(0, 4_000_000_000 * 10**9 + 999_999_999))


@mutation
def copy_from_memory_into_a_file() -> None:
    memory = os.memfd_create("source")
    os.write(memory, b"in memory")
    with open("usr/bin/tool", "r+b") as target:
        assert os.sendfile(target.fileno(), memory, 0, 9) == 9


@mutation
def move_a_thousand_directories_through_each_other() -> None:
    for number in range(40):
        os.makedirs(f"var/{number}/in")
        write(f"var/{number}/in/f", str(number))
    for turn in range(30):
        for number in range(40):
            os.rename(f"var/{number}/in", f"tmp/{number}")
        for number in range(40):
            os.rename(f"tmp/{number}", f"var/{(number + turn) % 40}/in")
    os.rename("data", "var/7/in/data")
    write("var/7/in/data/a/b/one", "moved on\n")


@mutation
def use_a_number_again_and_again() -> None:
    for number in range(200):
        if number:
            os.rmdir("tmp/passing")
        os.mkdir("tmp/passing")
        write("tmp/passing/f", str(number))
        os.unlink("tmp/passing/f")
    write("tmp/passing/f", "the last\n")


@mutation
def write_away_a_capability() -> None:
    """The kernel takes away what lets a program do more, when it is written to: an attribute, and the setuid bit."""
    os.setxattr("usr/bin/tool", "security.capability", struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0))
    os.chmod("usr/bin/tool", 0o4777)
    if os.fork() == 0:
        fd = os.open("usr/bin/tool", os.O_WRONLY)
        os.setuid(12)
        os.write(fd, b"WRITTEN")
        os._exit(0)
    os.wait()


@mutation
def change_through_a_descriptor_that_only_names() -> None:
    fd = os.open("usr/bin/tool", os.O_PATH)
    os.setxattr(f"/proc/self/fd/{fd}", "user.note", b"hello")
    os.chmod(f"/proc/self/fd/{fd}", 0o600)


@mutation
def link_what_is_open_and_write_to_it() -> None:
    """linkat(2), AT_EMPTY_PATH: no name of the file is looked up."""
    fd = os.open("usr/bin/tool", os.O_RDWR)
    try:
        link_descriptor(fd, "var/again")
    except OSError as error:
        raise Impossible("no CAP_DAC_READ_SEARCH") from error
    os.unlink("usr/bin/tool")
    os.write(fd, b"AGAIN")


@mutation
def write_by_a_descriptor_taken_from_another_process() -> None:
    """pidfd_getfd(2). The one it was taken from never wrote."""
    ready, tell = os.pipe()
    waits, end = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(tell, str(os.open("usr/bin/tool", os.O_WRONLY | os.O_APPEND)).encode())
        os.read(waits, 1)
        os._exit(0)
    fd = take_descriptor(child, int(os.read(ready, 8)))
    os.write(end, b"x")
    os.waitpid(child, 0)
    os.write(fd, b"taken\n")


@mutation
def dump_core() -> None:
    """The kernel writes the file, as the process dies."""
    with open("/proc/sys/kernel/core_pattern") as setting:
        if setting.read(1) in "|/@":
            raise Impossible("cores are not left in the working directory")
    child = os.fork()
    if child == 0:
        os.chdir("var/lib")
        resource.setrlimit(resource.RLIMIT_CORE, (1 << 24, 1 << 24))
        os.abort()
    os.waitpid(child, 0)
    (core,) = os.listdir("var/lib")
    # What is in it differs between two runs.
    os.truncate(f"var/lib/{core}", 0)
    os.rename(f"var/lib/{core}", "var/lib/core")
