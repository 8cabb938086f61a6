"""Looks everywhere: one hint, the whole tree. Needs nothing, misses nothing, costs the tree."""

from fswatch_builder._native import Baseline, ChangeSet, HintSet, Rootfs
from fswatch_builder.tracking.protocol import Capability


class ScanTracker:
    """The reference that every other tracker is compared with."""

    name = "scan"
    in_place = True
    on_overlay = True
    anonymous = "it sees what came out, not who did it"

    def probe(self, rootfs: Rootfs) -> Capability:
        """Always usable."""
        del rootfs
        return Capability(usable=True, reason="looks at every entry, on any file system")

    def arm(self, rootfs: Rootfs, baseline: Baseline) -> "ScanSession":
        """There is nothing to set up."""
        del baseline
        return ScanSession(rootfs)


class ScanSession:
    """Watches nothing: the baseline knows everything a scan needs."""

    tracker = ScanTracker.name
    needs_link_witness = False
    events = None

    def __init__(self, rootfs: Rootfs) -> None:
        self.rootfs = rootfs

    def settle(self) -> HintSet:
        """The root, with all below it."""
        hints = HintSet()
        hints.add(b"", "subtree")
        return hints

    def advance(self, baseline: Baseline, changes: ChangeSet) -> None:
        """The next scan compares with the new baseline anyway."""

    def close(self) -> None:
        """There is nothing to release."""


TRACKER = ScanTracker()
