"""Whether a kept tree is still what it was when it was made.

Everything in it must be what its baseline says, by the evidence of ``index/CLOCK.md``. So no content is read, unless
the machine was started since.

A step need not wait for that. Its work on an overlay over the tree can be thrown away; so both are done at once:

    the step's thread                         the look's
    an overlay over the tree
    the command runs                          each entry against its record
    it has ended: waits for the verdict
                                              nothing differs
    what changed? the layer is packed, stored

**It proves no less.** Evidence is of all that was done to an entry since it was recorded, and nothing takes it away: a
look finds what was done before it came by, whenever the command read that. What is done later it does not find. Nor
does a look that is over before the command begins; and that one has come by earlier.

**What cannot be thrown away waits**: whatever is read from the root file system for keeps, and a RUN that leaves
something elsewhere than there (``RunAction.leaves_traces``).
"""

import os
import threading
from typing import Final

from fswatch_builder import stopping
from fswatch_builder._native import Baseline, HintSet, RefusedError, Rootfs
from fswatch_builder.stopping import Stop

#: Seconds between two questions whether to go on waiting: nothing wakes a thread that waits for another one's end.
_AGAIN_S: Final = 0.1


class Look:
    """One that goes on by itself, in a thread."""

    def __init__(self, tree: str, *, read_all: bool) -> None:
        """Begins. Raises OSError where there is no root file system; ``close`` has to follow."""
        self.rootfs = Rootfs(os.fsencode(f"{tree}/rootfs"))
        self.altered = Stop()  # set with the verdict, if the tree cannot be believed
        self.read_all = read_all
        self._tree = tree
        self._fault: str | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="look at a kept tree")
        self._thread.start()

    def _work(self) -> None:
        try:
            self._fault = difference(self._tree, read_all=self.read_all, rootfs=self.rootfs)
        except BaseException as error:  # noqa: BLE001 - it is raised again by who asks for the verdict
            self._error = error
        if self._fault is not None or self._error is not None:
            self.altered.set()

    def fault(self) -> str | None:
        """Why the tree cannot be believed; None if it can. Waits for the end, and raises what went wrong."""
        while not self.ends_within(1):
            pass
        if self._error is not None:
            raise self._error
        return self._fault

    def ends_within(self, seconds: float) -> bool:
        """Whether its verdict is there by then. Raises Stopped if this thread shall end."""
        for _ in range(round(seconds / _AGAIN_S)):
            self._thread.join(_AGAIN_S)
            if not self._thread.is_alive():
                return True
            stopping.check()
        return False

    def close(self) -> None:
        """Ends it. Nothing of it goes on after that."""
        self.rootfs.abandon()
        self._thread.join()
        self.altered.__exit__()


def damage(tree: str) -> str | None:
    """What is wrong with a kept tree, every file of it read; None if nothing is. For `prune --verify`."""
    return difference(tree, read_all=True)


def difference(tree: str, *, read_all: bool, rootfs: Rootfs | None = None) -> str | None:
    """Why a tree cannot be believed; None if all in it is as it was recorded. ``rootfs``: its own, if that is open."""
    try:
        baseline = Baseline.open(os.fsencode(f"{tree}/baseline"))
        rootfs = rootfs or Rootfs(os.fsencode(f"{tree}/rootfs"))
        found = baseline.reconcile(rootfs, everything(), hash="all" if read_all else "evidence")
    except (FileNotFoundError, NotADirectoryError) as error:
        return f"{os.fsdecode(error.filename)} is missing"
    except RefusedError as error:
        return f"{os.fsdecode(error.path)}: {error.reason}"
    different = [change.path for change in found.changes] + found.sockets
    if not different:
        return None
    count = len(different)
    places = "1 place" if count == 1 else f"{count} places"
    return f"it was changed since, in {places}, such as /{os.fsdecode(min(different))}"


def everything() -> HintSet:
    """The coarsest hint."""
    hints = HintSet()
    hints.add(b"", "subtree")
    return hints
