"""What a command really changed: what every strategy's answer is held against."""

import os

from msgspec import Struct

from fswatch_builder._native import Change, HintSet, Rootfs
from fswatch_builder.changes import oracle
from fswatch_builder.research.bench.ground import Ground

ORACLE_ENTRIES = 20_000
"""Up to here the independent oracle judges: it reads a tree of that size in about a second. Above it a scan that reads
every file does, which the test suite holds against the oracle."""


class Verdict(Struct, frozen=True):
    """``missed`` changes were not told, ``spurious`` ones told though they are none."""

    missed: int
    spurious: int


class OracleJudge:
    """Reads both states whole, with none of the code that is measured."""

    name = "oracle"

    def __init__(self, ground: Ground) -> None:
        self._before = oracle.snapshot(os.fsencode(ground.tree))

    def truth(self, rootfs: Rootfs) -> dict[bytes, str]:
        """What is changed now, by path."""
        after = oracle.snapshot(rootfs.path)
        return {change.path: change.kind for change in oracle.compare(self._before, after)}


class ScanJudge:
    """Looks at every entry and reads every file."""

    name = "scan"

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def truth(self, rootfs: Rootfs) -> dict[bytes, str]:
        """What is changed now, by path."""
        hints = HintSet()
        hints.add(b"", "subtree")
        changes = self._ground.baseline.reconcile(rootfs, hints, hash="all")
        return {change.path: change.kind for change in changes.changes}


Judge = OracleJudge | ScanJudge


def judge_for(ground: Ground) -> Judge:
    """The independent one, unless the tree is too large for it."""
    return OracleJudge(ground) if ground.entries <= ORACLE_ENTRIES else ScanJudge(ground)


def judged(seen: list[Change], truth: dict[bytes, str]) -> Verdict:
    """A change told as another kind than it is counts as both."""
    told = {(change.path, change.kind) for change in seen}
    real = set(truth.items())
    return Verdict(missed=len(real - told), spurious=len(told - real))
