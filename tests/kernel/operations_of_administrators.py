"""Rows: what takes CAP_SYS_ADMIN, which a RUN has only with `--security=insecure`, and what no tracker can hear of."""

import os
from collections.abc import Iterator

from tests.kernel.operations import Operation, operation
from tests.kernel.operations_on_files import NOT_HAD
from tests.support.fanotify import opened_without_events
from tests.support.rare_calls import exchange_with_boot_loader
from tests.support.xfs_handles import open_without_stamps, set_attribute_by_handle

ADMINISTRATORS: list[Operation] = []

WITH_EVENTS = ("fanotify", "inotify")


@operation(ADMINISTRATORS, " / ", " / ", root=True, missed_by=WITH_EVENTS)
def written_by_the_descriptor_of_an_event() -> Iterator[None]:
    """As a scanner for viruses may that repairs what it finds. The stamps move."""
    fd = opened_without_events("d/f")
    os.write(fd, b"changed")
    yield
    os.close(fd)


@operation(
    ADMINISTRATORS,
    *("MODIFY f / CLOSE_WRITE f", "MODIFY d/f / CLOSE_WRITE d/f"),
    on=("xfs",),
    root=True,
    lacks=NOT_HAD,
    missed_by=("scan",),
)
def written_by_a_handle_of_xfs() -> Iterator[None]:
    """As xfsrestore does. No stamp moves."""
    before = os.stat("d/f")
    fd = open_without_stamps("d/f")
    os.write(fd, b"changed")
    yield
    os.close(fd)
    after = os.stat("d/f")
    assert (after.st_ctime_ns, after.st_mtime_ns) == (before.st_ctime_ns, before.st_mtime_ns)


@operation(ADMINISTRATORS, "", "", on=("xfs",), root=True, lacks=NOT_HAD, missed_by=WITH_EVENTS)
def an_attribute_set_by_a_handle_of_xfs() -> None:
    """The stamps move."""
    set_attribute_by_handle("d/f", b"note", b"x")


@operation(ADMINISTRATORS, " / CLOSE_WRITE f", " / CLOSE_WRITE d/f", on=("ext4",), root=True)
def exchanged_with_the_boot_loader() -> Iterator[None]:
    """EXT4_IOC_SWAP_BOOT: what was in the file is in inode 5, which no directory shows."""
    fd = os.open("d/f", os.O_RDWR)
    exchange_with_boot_loader(fd)
    yield
    os.close(fd)
