"""Ways to write that leave few traces."""

import errno
import io
import mmap
import os
import signal
import socket
import sys
import tarfile

from tests.conformance.tree import OLD, Impossible, mutation
from tests.support.system_calls import FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, Ring, fallocate, set_modification_time


@mutation
def exchange_the_bytes_of_two_files_and_restore_their_times() -> None:
    os.rename("data/left", "tmp/x")
    os.rename("data/right", "data/left")
    os.rename("tmp/x", "data/right")
    for path in ("tmp", "data"):
        os.utime(path, (OLD, OLD))


@mutation
def unpack_an_archive_of_old_files() -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in (("etc/passwd", b"CONTENT OF etc/passwd\n"), ("etc/new", b"new\n")):
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), OLD
            archive.addfile(member, io.BytesIO(content))
    packed.seek(0)
    with tarfile.open(fileobj=packed) as archive:
        for member in archive:
            archive.extract(member)
    os.utime("etc", (OLD, OLD))


@mutation
def store_into_a_mapping_and_be_killed() -> None:
    child = os.fork()
    if child == 0:
        fd = os.open("usr/bin/tool", os.O_RDWR)
        mapped = mmap.mmap(fd, 0)
        os.close(fd)
        mapped[0:4] = b"MMAP"
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)


@mutation
def store_into_a_mapping_of_a_file_that_moves() -> None:
    with open("usr/bin/tool", "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        os.rename("usr/bin/tool", "var/tool")
        mapped[0:4] = b"MMAP"


@mutation
def write_by_io_uring() -> None:
    try:
        ring = Ring()
    except OSError as error:
        raise Impossible(f"no io_uring: {error.strerror}") from error
    fd = os.open("usr/bin/tool", os.O_WRONLY)
    ring.write(fd, b"RING", 3)
    ring.close()
    os.close(fd)


@mutation
def write_past_the_page_cache() -> None:
    buffer = mmap.mmap(-1, 4096)
    buffer[:] = b"direct\n.".ljust(8) * 512
    try:
        fd = os.open("usr/bin/tool", os.O_WRONLY | os.O_DIRECT)
    except OSError as error:
        raise Impossible("the file system has no direct I/O") from error
    os.pwrite(fd, buffer, 0)
    os.close(fd)


@mutation
def copy_a_range() -> None:
    with open("data/left", "rb") as source, open("usr/bin/tool", "r+b") as target:
        assert os.copy_file_range(source.fileno(), target.fileno(), 5) == 5


@mutation
def splice_from_a_pipe() -> None:
    read, write = os.pipe()
    os.write(write, b"piped")
    with open("usr/bin/tool", "r+b") as target:
        assert os.splice(read, target.fileno(), 5) == 5


@mutation
def send_a_file_into_another() -> None:
    with open("data/left", "rb") as source, open("usr/bin/tool", "r+b") as target:
        assert os.sendfile(target.fileno(), source.fileno(), 0, 5) == 5


@mutation
def punch_a_hole_and_restore_the_time() -> None:
    with open("wide/49", "r+b") as file:
        try:
            fallocate(file.fileno(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 10, 20)
        except OSError as error:
            if error.errno == errno.EOPNOTSUPP:
                raise Impossible("the file system punches no holes") from error
            raise
    os.utime("wide/49", (OLD, OLD))


@mutation
def allocate_past_the_end() -> None:
    with open("wide/49", "r+b") as file:
        os.posix_fallocate(file.fileno(), 0, 5000)


@mutation
def cut_off_and_fill_with_zeros_to_the_same_size() -> None:
    os.truncate("wide/49", 0)
    os.truncate("wide/49", 49)
    os.utime("wide/49", (OLD, OLD))


@mutation
def truncate_by_opening_to_read() -> None:
    os.close(os.open("usr/bin/tool", os.O_RDONLY | os.O_TRUNC))


@mutation
def write_one_file_without_end_and_truncate_another() -> None:
    with open("data/left", "r+b", buffering=0) as file:
        for _ in range(200_000):
            os.pwrite(file.fileno(), b"x", 0)
        os.truncate("usr/bin/tool", 3)
        set_modification_time("data/c", OLD + 1)
        for _ in range(1000):
            os.pwrite(file.fileno(), b"x", 0)


@mutation
def reopen_by_the_link_in_proc() -> None:
    with open("usr/bin/tool") as file, open(f"/proc/self/fd/{file.fileno()}", "a") as again:
        os.rename("usr/bin/tool", "var/tool")
        again.write("more\n")


@mutation
def hand_over_a_descriptor_and_write_there() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    if os.fork() == 0:
        _, (fd,), _, _ = socket.recv_fds(theirs, 1, 1)
        os.write(fd, b"by somebody else\n")
        sys.exit(0)
    fd = os.open("usr/bin/tool", os.O_WRONLY | os.O_APPEND)
    socket.send_fds(ours, [b"x"], [fd])
    os.close(fd)


@mutation
def leave_a_writer_behind() -> None:
    """It writes when the process that started it is gone."""
    alive, dead = os.pipe()
    if os.fork() == 0:
        os.close(dead)
        assert os.read(alive, 1) == b""
        with open("usr/bin/tool", "a") as file:
            file.write("the last word\n")
        os.makedirs("var/late/deep")
        with open("var/late/deep/file", "w") as file:
            file.write("later\n")
