"""What a measurement stands on: a root file system, its baseline, and the trackers that work there."""

from dataclasses import dataclass

from fswatch_builder._native import Baseline, HintSet, Rootfs
from fswatch_builder.tracking.protocol import Tracker
from fswatch_builder.tracking.registry import trackers


def everything() -> HintSet:
    """One hint: the root, with all below it."""
    hints = HintSet()
    hints.add(b"", "subtree")
    return hints


def baseline_of(rootfs: Rootfs, *, digests: bool = False) -> Baseline:
    """The baseline of what is there now, with the digests of all files if they are wanted."""
    baseline = Baseline.empty(rootfs)
    baseline.advance(baseline.reconcile(rootfs, everything()))
    if digests:
        baseline.advance(baseline.reconcile(rootfs, everything(), hash="all"))
    return baseline


@dataclass(frozen=True, slots=True)
class Ground:
    """``files``: how many there are in ``directory``, the root file system; ``work`` is scratch space beside it."""

    directory: str
    work: str
    files: int
    rootfs: Rootfs
    baseline: Baseline

    def trackers(self) -> dict[str, Tracker]:
        """Those that work here and watch the tree in place, by name. An overlay's commands run elsewhere."""
        in_place = {name: tracker for name, tracker in trackers().items() if tracker.in_place}
        return {name: tracker for name, tracker in in_place.items() if tracker.probe(self.rootfs).usable}
