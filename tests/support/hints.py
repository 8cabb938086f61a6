"""What a set of hints says, for tests of trackers."""

import os

from fswatch_builder._native import Baseline, HintSet, Rootfs


def covers(hints: HintSet, path: bytes) -> bool:
    """Whether somebody who looks where the hints and losses say would look at ``path``."""
    for hint, scope in hints.hints:
        below = hint == b"" or path.startswith(hint + b"/")
        if path == hint or (scope == "subtree" and below):
            return True
        if scope == "children" and os.path.dirname(path) == hint:
            return True
    return any(lost in (b"", path) or path.startswith(lost + b"/") for _, lost in hints.losses)


def baseline_of(rootfs: Rootfs) -> Baseline:
    """The baseline of what is there now."""
    baseline = Baseline.empty(rootfs)
    everything = HintSet()
    everything.add(b"", "subtree")
    baseline.advance(baseline.reconcile(rootfs, everything))
    return baseline
