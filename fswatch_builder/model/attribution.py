"""Who did it: the processes that touched what changed in one step."""

from collections.abc import Mapping

from msgspec import Struct

from fswatch_builder._native import Process


class Attribution(Struct, frozen=True):
    """Processes by what they touched.

    Invariants: every number in ``touched`` is a key of ``processes``; every path is of the change set it was made for.
    """

    touched: Mapping[bytes, tuple[int, ...]]
    """By changed path: who touched it, its name or its inode. Where nobody is known a path is missing."""
    processes: Mapping[int, Process]
    complete: bool
    """Whether nothing was left out for want of room."""
    unheard: tuple[bytes, ...]
    """Mount points of file systems from which programs start unheard."""
