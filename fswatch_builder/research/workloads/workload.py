"""What a workload is."""

from collections.abc import Callable, Sequence

from msgspec import Struct


class Tools(Struct, frozen=True):
    """What a workload needs beside the tree: ``scratch`` is a directory of its own, outside it."""

    scratch: str


class Workload(Struct, frozen=True):
    """``argv`` is run in the tree.

    ``plant`` adds to a tree what the command needs to be there already, before anything is recorded. ``prepare``
    returns the command for a planted tree; what else it needs, it puts into the scratch directory. ``needs`` are
    programs that have to be on PATH. ``only_on`` is the one kind of tree that it can work on; None: any. ``programs``
    are all that the command is made of, if they and their libraries are enough of a root file system for it; else None.
    """

    name: str
    means: str
    plant: Callable[[str, Tools], None]
    prepare: Callable[[str, Tools], Sequence[str]]
    needs: tuple[str, ...] = ()
    only_on: str | None = None
    programs: tuple[str, ...] | None = None

    def fits(self, kind: str) -> bool:
        """Whether it can work on that kind of tree."""
        return self.only_on in (None, kind)


def nothing_to_plant(tree: str, tools: Tools) -> None:
    """The corpus is enough."""
    del tree, tools
