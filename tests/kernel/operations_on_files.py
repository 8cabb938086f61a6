"""Rows: what changes a file's content or metadata."""

import errno
import fcntl
import mmap
import os
import signal
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict

from tests.kernel.operations import ON_DISK, Operation, operation, write
from tests.support.fanotify import Handle, handle_of, open_by_handle
from tests.support.rare_calls import move_extents, swap_extents
from tests.support.system_calls import (
    FALLOC_FL_KEEP_SIZE,
    FALLOC_FL_PUNCH_HOLE,
    FICLONE,
    FS_COMPR_FL,
    FS_NODUMP_FL,
    Ring,
    bind_mount,
    fallocate,
    forget_names,
    set_inode_flag,
    set_modification_time,
    unmount,
)

FILES: list[Operation] = []


class Told(TypedDict):
    """What several rows have in common: the events of either."""

    inotify: str
    fanotify: str


NOT_HAD = (errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTTY, errno.EPERM)
A_WRITE: Told = {"inotify": "MODIFY f / CLOSE_WRITE f", "fanotify": "MODIFY d/f / CLOSE_WRITE d/f"}
AN_EXCHANGE: Told = {
    "inotify": " / CLOSE_WRITE f, CLOSE_WRITE g",
    "fanotify": " / CLOSE_WRITE d/f, CLOSE_WRITE d/g",
}


def opened() -> int:
    return os.open("d/f", os.O_RDWR)


@operation(FILES, **A_WRITE)
def plain_write() -> Iterator[None]:
    fd = opened()
    os.write(fd, b"changed")
    yield
    os.close(fd)


@operation(FILES, **A_WRITE)
def a_file_sent_into_it() -> Iterator[None]:
    fd = opened()
    with open("d/g", "rb") as source:
        os.sendfile(fd, source.fileno(), 0, 7)
    yield
    os.close(fd)


@operation(FILES, **A_WRITE)
def spliced() -> Iterator[None]:
    read, end = os.pipe()
    os.write(end, b"changed")
    fd = opened()
    os.splice(read, fd, 7)
    yield
    for each in (read, end, fd):
        os.close(each)


@operation(FILES, **A_WRITE)
def a_range_copied() -> Iterator[None]:
    fd = opened()
    with open("e/other", "rb") as source:
        os.copy_file_range(source.fileno(), fd, 4096)
    yield
    os.close(fd)


@operation(FILES, **A_WRITE)
def preallocated() -> Iterator[None]:
    fd = opened()
    os.posix_fallocate(fd, 0, 20000)
    yield
    os.close(fd)


@operation(FILES, **A_WRITE, lacks=NOT_HAD)
def a_hole_punched() -> Iterator[None]:
    fd = opened()
    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096)
    yield
    os.close(fd)


@operation(FILES, **A_WRITE)
def truncated_by_descriptor() -> Iterator[None]:
    fd = opened()
    os.ftruncate(fd, 3)
    yield
    os.close(fd)


@operation(FILES, **A_WRITE)
def truncated_by_open() -> Iterator[None]:
    fd = os.open("d/f", os.O_WRONLY | os.O_TRUNC)
    yield
    os.close(fd)


def ring_and_file() -> tuple[Ring, int]:
    return Ring(), opened()


@contextmanager
def closed(both: tuple[Ring, int]) -> Iterator[tuple[Ring, int]]:
    """At the end of the block, also of one that this kernel cannot do."""
    ring, fd = both
    try:
        yield both
    finally:
        ring.close()
        os.close(fd)


@operation(FILES, **A_WRITE, before=ring_and_file, lacks=NOT_HAD)
def written_by_io_uring(both: tuple[Ring, int]) -> Iterator[None]:
    with closed(both) as (ring, fd):
        ring.write(fd, b"changed", 0)
        yield


@operation(FILES, **A_WRITE, before=ring_and_file, lacks=NOT_HAD)
def allocated_by_io_uring(both: tuple[Ring, int]) -> Iterator[None]:
    with closed(both) as (ring, fd):
        ring.fallocate(fd, 0, 0, 20000)
        yield


@operation(FILES, **A_WRITE, before=ring_and_file, lacks=(*NOT_HAD, errno.EINVAL))
def truncated_by_io_uring(both: tuple[Ring, int]) -> Iterator[None]:
    with closed(both) as (ring, fd):
        ring.ftruncate(fd, 3)
        yield


@operation(FILES, "MODIFY f", "MODIFY d/f")
def truncated_by_path() -> None:
    os.truncate("d/f", 1)


@operation(FILES, "MODIFY f", "MODIFY d/f")
def truncated_by_path_to_the_same_size() -> None:
    os.truncate("d/f", 8192)


@operation(FILES, "MODIFY f / ", "MODIFY d/f / ")
def truncated_by_opening_to_read() -> Iterator[None]:
    fd = os.open("d/f", os.O_RDONLY | os.O_TRUNC)
    yield
    os.close(fd)


@operation(FILES, "MODIFY f", "MODIFY d/f")
def its_modification_time_set_alone() -> None:
    set_modification_time("d/f", 1)


@operation(FILES, "MODIFY|ISDIR sub", "MODIFY|ONDIR {d/sub}")
def the_modification_time_of_a_directory_set_alone() -> None:
    set_modification_time("d/sub", 1)


@operation(FILES, "MODIFY f / CLOSE_WRITE f", "MODIFY d/f / CLOSE_WRITE d/f", on=("xfs", "btrfs"))
def cloned() -> Iterator[None]:
    fd = opened()
    with open("e/other", "rb") as source:
        fcntl.ioctl(fd, FICLONE, source.fileno())
    yield
    os.close(fd)


@operation(FILES, "CLOSE_WRITE f", "CLOSE_WRITE d/f")
def opened_for_writing_and_closed() -> None:
    os.close(opened())


@operation(FILES, "ATTRIB f", "ATTRIB d/f")
def chmod() -> None:
    os.chmod("d/f", 0o600)


@operation(FILES, "ATTRIB f", "ATTRIB d/f", root=True)
def chown() -> None:
    os.chown("d/f", 12, 34)


@operation(FILES, "ATTRIB link", "ATTRIB d/link", root=True)
def lchown() -> None:
    os.lchown("d/link", 12, 34)


@operation(FILES, "ATTRIB f", "ATTRIB d/f")
def times_set_to_what_they_are() -> None:
    times = os.stat("d/f")
    os.utime("d/f", ns=(times.st_atime_ns, times.st_mtime_ns))


@operation(FILES, "ATTRIB f", "ATTRIB d/f", lacks=NOT_HAD)
def an_attribute_set() -> None:
    os.setxattr("d/f", "user.note", b"x")


@operation(FILES, "ATTRIB f", "ATTRIB d/f", lacks=NOT_HAD)
def an_acl_set() -> None:
    entries = ((1, 6, -1), (2, 7, 12), (4, 4, -1), (0x10, 7, -1), (0x20, 0, -1))
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    os.setxattr("d/f", "system.posix_acl_access", acl)


@operation(FILES, "", "", lacks=NOT_HAD)
def inode_flags_set() -> None:
    """chattr. Only the ctime tells: test_stat.py."""
    set_inode_flag("d/f", FS_NODUMP_FL)


@operation(FILES, "", "", on=("btrfs",))
def compression_asked_for() -> None:
    """chattr +c: besides the flag the file gets an attribute (`btrfs.compression`), which is no part of an image."""
    set_inode_flag("d/f", FS_COMPR_FL)
    assert "btrfs.compression" in os.listxattr("d/f")


@operation(FILES, " /  / CLOSE_WRITE f", " /  / CLOSE_WRITE d/f")
def stored_into_a_mapping() -> Iterator[None]:
    fd = opened()
    mapped = mmap.mmap(fd, 0)
    os.close(fd)
    mapped[0] = 88
    yield
    mapped.flush()
    yield
    mapped.close()


@operation(FILES, " / CLOSE_WRITE f", " / CLOSE_WRITE d/f")
def stored_into_a_mapping_that_was_read_first() -> Iterator[None]:
    """On tmpfs not even a stamp tells: test_stat.py."""
    fd = opened()
    mapped = mmap.mmap(fd, 0)
    os.close(fd)
    mapped[0] = mapped[0] ^ 1
    yield
    mapped.close()


def two_of_one_size() -> None:
    """On disk and not in memory: a call that exchanges blocks need not look at pages."""
    for path in ("d/f", "d/g"):
        with open(path, "r+b") as file:
            file.write(path.encode() * 2048)
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@operation(FILES, **AN_EXCHANGE, before=two_of_one_size, on=("xfs",), root=True, missed_by=("scan",), lacks=NOT_HAD)
def exchanged_with_another_file(_: None) -> Iterator[None]:
    with open("d/g", "r+b") as other, open("d/f", "r+b") as one:
        swap_extents(one.fileno(), other.fileno())
        yield


@operation(FILES, **AN_EXCHANGE, before=two_of_one_size, on=("ext4",), root=True, missed_by=("scan",), lacks=NOT_HAD)
def its_blocks_given_to_another_file(_: None) -> Iterator[None]:
    """As e4defrag does to a file of its own; g is what that file is."""
    with open("d/g", "r+b") as other, open("d/f", "r+b") as one:
        move_extents(one.fileno(), other.fileno(), 8192)
        for file in (one, other):
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        yield


@operation(FILES, " / CLOSE_WRITE f", " / CLOSE_WRITE d/f")
def stored_into_a_mapping_by_a_process_that_is_killed() -> Iterator[None]:
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        fd = opened()
        mapped = mmap.mmap(fd, 0)
        os.close(fd)
        mapped[0] = 88
        os.write(tell, b"x")
        signal.pause()
    os.read(ready, 1)
    os.close(ready)
    os.close(tell)
    yield
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


@operation(FILES, "MODIFY f, CLOSE_WRITE f", "MODIFY|CLOSE_WRITE d/f")
def written_by_a_process_that_is_killed() -> None:
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        fd = opened()
        os.write(fd, b"x")
        os.write(tell, b"x")
        while True:
            os.write(fd, b"x")
            os.lseek(fd, 0, os.SEEK_SET)
    os.read(ready, 1)
    os.close(ready)
    os.close(tell)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


@operation(FILES, **A_WRITE, before=opened)
def written_by_a_descriptor_opened_before(fd: int) -> Iterator[None]:
    os.write(fd, b"changed")
    yield
    os.close(fd)


@operation(FILES, "MODIFY f, CLOSE_WRITE f", "MODIFY|CLOSE_WRITE d/f")
def reopened_by_the_link_in_proc() -> None:
    with open("d/f", "rb") as file, open(f"/proc/self/fd/{file.fileno()}", "r+b") as again:
        again.write(b"changed")


def bound() -> None:
    bind_mount("d", "e")


@operation(FILES, "MODIFY f, CLOSE_WRITE f", "MODIFY|CLOSE_WRITE d/f", before=bound, root=True)
def written_through_a_bind_mount(_: None) -> None:
    try:
        write("e/f", "changed")
    finally:
        unmount("e")


def opened_elsewhere() -> int:
    return os.open("e/other", os.O_WRONLY)


@operation(
    FILES,
    "MOVED_TO in, MODIFY in, CLOSE_WRITE in",
    "RENAME e/other -> d/in, MODIFY|CLOSE_WRITE d/in",
    before=opened_elsewhere,
)
def written_by_a_descriptor_of_a_file_that_moved_in(fd: int) -> None:
    os.rename("e/other", "d/in")
    os.write(fd, b"changed")
    os.close(fd)


@operation(FILES, "", "MODIFY|CLOSE_WRITE e/one-too")
def written_through_another_name() -> None:
    """The blind spot of inotify: the other directory is watched too, or the link is known."""
    with open("e/one-too", "r+b") as file:
        file.write(b"changed")


@operation(FILES, "", "ATTRIB e/one-too")
def mode_changed_through_another_name() -> None:
    os.chmod("e/one-too", 0o600)


def handle_of_file() -> tuple[Path, Handle]:
    return Path.cwd(), handle_of("d/f")


@operation(
    FILES, "MODIFY f, CLOSE_WRITE f", "MODIFY|CLOSE_WRITE d/f", before=handle_of_file, root=True, on=("tmpfs", *ON_DISK)
)
def written_by_handle(where: tuple[Path, Handle]) -> None:
    os.stat("d/f")  # so the name is cached
    fd = open_by_handle(*where, os.O_WRONLY)
    os.write(fd, b"changed")
    os.close(fd)


@operation(FILES, "MODIFY f, CLOSE_WRITE f", "MODIFY|CLOSE_WRITE d/f", before=handle_of_file, root=True, on=("tmpfs",))
def written_by_handle_when_no_name_is_cached_in_memory(where: tuple[Path, Handle]) -> None:
    """A tmpfs has its names nowhere but in the cache."""
    forget_names(where[0])
    fd = open_by_handle(*where, os.O_WRONLY)
    os.write(fd, b"changed")
    os.close(fd)


@operation(FILES, "", "MODIFY|CLOSE_WRITE {d/f}", before=handle_of_file, root=True, on=ON_DISK, missed_by=("inotify",))
def written_by_handle_when_no_name_is_cached(where: tuple[Path, Handle]) -> None:
    forget_names(where[0])
    fd = open_by_handle(*where, os.O_WRONLY)
    os.write(fd, b"changed")
    os.close(fd)


@operation(FILES, " / CLOSE_WRITE fifo", "MODIFY d/fifo / CLOSE_WRITE d/fifo")
def fifo_written() -> Iterator[None]:
    fd = os.open("d/fifo", os.O_RDWR | os.O_NONBLOCK)
    os.write(fd, b"x")
    yield
    os.close(fd)


def a_device() -> None:
    os.mknod("d/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))


@operation(FILES, "CLOSE_WRITE null", "MODIFY|CLOSE_WRITE d/null", before=a_device, root=True, on=("tmpfs", *ON_DISK))
def device_written(_: None) -> None:
    fd = os.open("d/null", os.O_WRONLY)
    os.write(fd, b"x")
    os.close(fd)
