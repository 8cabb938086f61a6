"""Warm or cold: whether the kernel still knows the tree when a trial begins."""

import os
from typing import Literal

from fswatch_builder.errors import UsageError

Cache = Literal["warm", "cold"]

_DROP = "/proc/sys/vm/drop_caches"
_EVERYTHING = b"3\n"


def keep() -> None:
    """Warm: as the trial before has left them."""


def drop() -> None:
    """Cold: pages, names and inodes are forgotten, other programs' too (proc_sys_vm(5))."""
    os.sync()
    with open(_DROP, "wb", buffering=0) as file:
        file.write(_EVERYTHING)


def check_cold() -> None:
    """UsageError if we may not."""
    if not os.access(_DROP, os.W_OK):
        raise UsageError("cold caches need root", hint="run it as root, or with --cache warm")
