"""Rows: what reaches a file through a mapping of it, other than by a store of the one who mapped it."""

import errno
import os
from collections.abc import Iterator

from tests.kernel.operations import ON_DISK, Operation, operation
from tests.kernel.operations_on_files import NOT_HAD, Told
from tests.support.mappings import Mapping
from tests.support.userfaults import fill_hole

MAPPINGS: list[Operation] = []

A_STORE: Told = {"inotify": " / CLOSE_WRITE f", "fanotify": " / CLOSE_WRITE d/f"}


def nothing_but_holes() -> None:
    os.truncate("d/f", 0)
    os.truncate("d/f", 8192)


@operation(MAPPINGS, **A_STORE, before=nothing_but_holes, on=("tmpfs",), root=True, lacks=NOT_HAD)
def filled_by_userfaultfd(_: None) -> Iterator[None]:
    """No stamp moves."""
    before = os.stat("d/f")
    mapping = Mapping("d/f")
    fill_hole(mapping.address, b"by userfaultfd")
    yield
    mapping.close()
    after = os.stat("d/f")
    assert (after.st_ctime_ns, after.st_mtime_ns) == (before.st_ctime_ns, before.st_mtime_ns)


@operation(MAPPINGS, "MODIFY f / CLOSE_WRITE f", "MODIFY d/f / CLOSE_WRITE d/f", lacks=NOT_HAD)
def a_hole_punched_by_the_address() -> Iterator[None]:
    mapping = Mapping("d/f")
    mapping.punch(4096)
    yield
    mapping.close()


@operation(MAPPINGS, **A_STORE, lacks=NOT_HAD)
def stored_where_another_page_was_put() -> Iterator[None]:
    mapping = Mapping("d/f")
    mapping.show_second_page_first()
    mapping.store(b"changed")
    yield
    mapping.close()


@operation(MAPPINGS, " /  / CLOSE_WRITE f", " /  / CLOSE_WRITE d/f")
def stored_into_a_copy_of_a_mapping() -> Iterator[None]:
    """The first one goes without an event: it was not the last."""
    mapping = Mapping("d/f")
    mapping.move_to_a_copy()
    yield
    mapping.store(b"changed")
    yield
    mapping.close()


def written_out() -> None:
    with open("d/g", "wb") as file:
        file.write(b"g" * 8192)
        os.fsync(file.fileno())


@operation(MAPPINGS, **A_STORE, before=written_out, on=("tmpfs", *ON_DISK), lacks=(errno.EINVAL,))
def read_into_past_the_page_cache(_: None) -> Iterator[None]:
    """The disk stores, not a processor."""
    mapping = Mapping("d/f")
    fd = os.open("d/g", os.O_RDONLY | os.O_DIRECT)
    mapping.read_into(fd, 4096)
    os.close(fd)
    yield
    mapping.close()
