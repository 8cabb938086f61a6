"""Entries of every kind, and the metadata that only some programs set."""

import contextlib
import os
import socket
import stat
import struct

from tests.conformance.tree import OLD, Impossible, mutation, write
from tests.support.system_calls import (
    FS_NODUMP_FL,
    RENAME_WHITEOUT,
    renameat2,
    set_inode_flag,
    set_modification_time,
)


@mutation
def make_a_socket() -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("tmp/socket")


@mutation
def replace_a_file_by_a_socket() -> None:
    os.remove("usr/bin/tool")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("usr/bin/tool")


@mutation
def make_devices() -> None:
    os.mknod("tmp/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod("tmp/disk", stat.S_IFBLK | 0o660, os.makedev(7, 200))


@mutation
def replace_a_file_by_a_fifo() -> None:
    os.remove("usr/bin/tool")
    os.mkfifo("usr/bin/tool")


@mutation
def leave_a_whiteout_of_the_kernel() -> None:
    """What an overlay does in its upper directory: a character device 0:0 takes the old name."""
    try:
        renameat2("data/c/two", "var/two", RENAME_WHITEOUT)
    except OSError as error:
        raise Impossible(f"no RENAME_WHITEOUT: {error.strerror}") from error


@mutation
def give_a_capability() -> None:
    # vfs_cap_data, revision 2 with the effective bit: CAP_NET_RAW (13).
    os.setxattr("usr/bin/tool", "security.capability", struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0))


def acl(*entries: tuple[int, int, int]) -> bytes:
    """struct posix_acl_xattr: tag, permissions, id."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


ANYBODY = 0xFFFFFFFF
#: user::rw- user:12:rwx group::r-- mask::rwx other::---
FOR_A_USER = acl((1, 6, ANYBODY), (2, 7, 12), (4, 4, ANYBODY), (0x10, 7, ANYBODY), (0x20, 0, ANYBODY))


@mutation
def give_an_acl() -> None:
    os.setxattr("usr/bin/tool", "system.posix_acl_access", FOR_A_USER)


@mutation
def inherit_a_default_acl() -> None:
    os.setxattr("data/c", "system.posix_acl_default", FOR_A_USER)
    write("data/c/heir", "x")
    os.mkdir("data/c/heiress")


@mutation
def set_and_remove_an_attribute() -> None:
    os.setxattr("usr/bin/tool", "user.note", b"hello")
    os.removexattr("usr/bin/tool", "user.note")


@mutation
def set_an_inode_flag() -> None:
    """chattr +d: no event, and nothing that an image could hold."""
    try:
        set_inode_flag("usr/bin/tool", FS_NODUMP_FL)
    except OSError as error:
        raise Impossible(f"no inode flags: {error.strerror}") from error


@mutation
def write_and_set_an_inode_flag() -> None:
    write("usr/bin/tool", "content\n")
    with contextlib.suppress(OSError):
        set_inode_flag("usr/bin/tool", FS_NODUMP_FL)


@mutation
def change_the_owner_of_a_link() -> None:
    os.lchown("etc/link", 12, 34)


@mutation
def change_the_mode_and_back() -> None:
    mode = stat.S_IMODE(os.stat("usr/bin/tool").st_mode)
    os.chmod("usr/bin/tool", 0o4711)
    os.chmod("usr/bin/tool", mode)


@mutation
def change_the_owner_and_back() -> None:
    os.chown("etc/passwd", 12, 34)
    os.chown("etc/passwd", 0, 0)


@mutation
def move_the_access_time() -> None:
    os.utime("etc/passwd", (OLD + 77, OLD))


@mutation
def move_the_modification_time_alone() -> None:
    for path in ("etc/passwd", "data/c"):
        set_modification_time(path, OLD * 10**9 + 1)


@mutation
def change_the_root_itself() -> None:
    os.chmod(".", 0o750)
    os.setxattr(".", "user.note", b"root")


@mutation
def a_large_sparse_file_with_data_in_the_middle() -> None:
    with open("var/lastlog", "wb") as file:
        file.seek(1 << 22)
        file.write(b"data")
        file.truncate(1 << 23)
