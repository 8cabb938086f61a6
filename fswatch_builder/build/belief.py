"""Whether a kept tree is still what it was when it was made.

Everything in it must be what its baseline says, by the evidence of ``index/CLOCK.md``. So no content is read, unless
the machine was started since.
"""

import os

from fswatch_builder._native import Baseline, HintSet, RefusedError, Rootfs


def damage(tree: str) -> str | None:
    """What is wrong with a kept tree, every file of it read; None if nothing is. For `prune --verify`."""
    return difference(tree, read_all=True)


def difference(tree: str, *, read_all: bool) -> str | None:
    """Why a tree cannot be believed; None if all in it is as it was recorded."""
    try:
        baseline = Baseline.open(os.fsencode(f"{tree}/baseline"))
        rootfs = Rootfs(os.fsencode(f"{tree}/rootfs"))
        found = baseline.reconcile(rootfs, everything(), hash="all" if read_all else "evidence")
    except FileNotFoundError as error:
        return f"{os.fsdecode(error.filename)} is missing"
    except RefusedError as error:
        return f"{os.fsdecode(error.path)}: {error.reason}"
    different = [change.path for change in found.changes] + found.sockets
    if not different:
        return None
    return f"it was changed since, in {len(different)} places, such as /{os.fsdecode(min(different))}"


def everything() -> HintSet:
    """The coarsest hint."""
    hints = HintSet()
    hints.add(b"", "subtree")
    return hints
