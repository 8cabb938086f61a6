"""Rows: what makes, removes and moves names."""

import errno
import os
import stat
from collections.abc import Iterator

from tests.kernel.operations import Operation, operation, write
from tests.support.system_calls import (
    RENAME_EXCHANGE,
    RENAME_WHITEOUT,
    mount_tmpfs,
    name_descriptor,
    renameat2,
    unmount,
)

NAMES: list[Operation] = []


@operation(NAMES, "CREATE n / CLOSE_WRITE n", "CREATE d/n / CLOSE_WRITE d/n")
def created() -> Iterator[None]:
    fd = os.open("d/n", os.O_CREAT | os.O_WRONLY)
    yield
    os.close(fd)


@operation(NAMES, "CREATE|ISDIR n", "CREATE|ONDIR d/n")
def directory_made() -> None:
    os.mkdir("d/n")


@operation(NAMES, "CREATE n", "CREATE d/n")
def fifo_made() -> None:
    os.mkfifo("d/n")


@operation(NAMES, "CREATE n", "CREATE d/n", root=True)
def device_made() -> None:
    os.mknod("d/n", stat.S_IFCHR | 0o600, os.makedev(1, 3))


@operation(NAMES, "CREATE n", "CREATE d/n")
def symlink_made() -> None:
    os.symlink("f", "d/n")


@operation(NAMES, "CREATE n", "CREATE d/n, ATTRIB {e/other}")
def link_made_into_it() -> None:
    os.link("e/other", "d/n")


@operation(NAMES, " / ", "CREATE e/n, ATTRIB {d/f} / DELETE e/n, ATTRIB {d/f}")
def link_made_from_it_and_removed() -> Iterator[None]:
    """The link count and the ctime of d/f change, and the watch of d says nothing."""
    os.link("d/f", "e/n")
    yield
    os.unlink("e/n")


@operation(NAMES, "DELETE f", "DELETE d/f, ATTRIB|DELETE_SELF {d/f}")
def removed() -> None:
    os.unlink("d/f")


@operation(NAMES, "DELETE f / ", "DELETE d/f, ATTRIB {d/f} / DELETE_SELF {d/f}")
def removed_while_open() -> Iterator[None]:
    fd = os.open("d/f", os.O_RDONLY)
    os.unlink("d/f")
    yield
    os.close(fd)


@operation(NAMES, "DELETE|ISDIR n", "DELETE|ONDIR d/n, DELETE_SELF|ONDIR {d/n}", before=lambda: os.mkdir("d/n"))
def directory_removed(_: None) -> None:
    os.rmdir("d/n")


@operation(NAMES, "MOVED_FROM f, MOVED_TO n", "RENAME d/f -> d/n")
def renamed_within() -> None:
    os.rename("d/f", "d/n")


@operation(NAMES, "MOVED_FROM f", "RENAME d/f -> e/f")
def renamed_out() -> None:
    os.rename("d/f", "e/f")


@operation(NAMES, "MOVED_TO other", "RENAME e/other -> d/other")
def renamed_in() -> None:
    os.rename("e/other", "d/other")


@operation(NAMES, "MOVED_TO|ISDIR full", "RENAME|ONDIR e/full -> d/full")
def full_directory_renamed_in() -> None:
    """Nothing is said of what it holds."""
    os.rename("e/full", "d/full")


@operation(NAMES, "MOVED_FROM f, MOVED_TO g", "RENAME d/f -> d/g, ATTRIB|DELETE_SELF {d/g}")
def renamed_over_another() -> None:
    os.rename("d/f", "d/g")


@operation(NAMES, "MOVED_FROM f, MOVED_TO f", "RENAME d/f -> e/other, RENAME e/other -> d/f", lacks=(errno.EINVAL,))
def exchanged_with_another_directory() -> None:
    renameat2("d/f", "e/other", RENAME_EXCHANGE)


@operation(
    NAMES,
    "MOVED_FROM f, MOVED_TO g, MOVED_FROM g, MOVED_TO f",
    "RENAME d/f -> d/g, RENAME d/g -> d/f",
    lacks=(errno.EINVAL,),
)
def exchanged_within() -> None:
    renameat2("d/f", "d/g", RENAME_EXCHANGE)


@operation(NAMES, "MOVED_FROM f, MOVED_TO n", "RENAME d/f -> d/n", root=True, lacks=(errno.EINVAL,))
def renamed_leaving_a_whiteout() -> None:
    """The whiteout comes into being without an event of its own."""
    renameat2("d/f", "d/n", RENAME_WHITEOUT)


@operation(NAMES, "MOVE_SELF / MODIFY f, CLOSE_WRITE f", "RENAME|ONDIR d -> moved / MODIFY|CLOSE_WRITE moved/f")
def watched_directory_renamed() -> Iterator[None]:
    """It goes on reporting, under the path that somebody remembers."""
    os.rename("d", "moved")
    yield
    with open("moved/f", "r+b") as file:
        file.write(b"changed")


@operation(
    NAMES,
    " / MODIFY #? / CREATE n / MODIFY #? / CLOSE_WRITE #?",
    " / MODIFY d/#? / CREATE d/n, ATTRIB {d/n} / MODIFY d/#? / CLOSE_WRITE d/#?",
)
def born_without_a_name() -> Iterator[None]:
    fd = os.open("d", os.O_TMPFILE | os.O_RDWR)
    yield
    os.write(fd, b"before")
    yield
    name_descriptor(fd, "d/n")
    yield
    os.write(fd, b"after")
    yield
    os.close(fd)


@operation(
    NAMES, "CREATE|ISDIR a", "CREATE|ONDIR d/a, CREATE|ONDIR d/a/b, CREATE|ONDIR d/a/b/c, CLOSE_WRITE|CREATE d/a/b/c/f"
)
def deep_tree_made_at_once() -> None:
    os.makedirs("d/a/b/c")
    os.close(os.open("d/a/b/c/f", os.O_CREAT | os.O_WRONLY))


@operation(NAMES, " /  / ", " /  / ", root=True)
def mounted_over() -> Iterator[None]:
    """Who watches the mounts sees it: test_mounts.py."""
    mount_tmpfs("d")
    yield
    try:
        write("d/f", "on another file system")
        yield
    finally:
        unmount("d")
