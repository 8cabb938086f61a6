"""Runs the steps on an overlay over the unpacked root file system: the upper directory is the evidence. Docker's way.

The cost is that of what changed since the overlay was mounted, in every step anew: one upper directory serves all steps
of a stage (a stack of them would break hard links, for the index of copied-up inodes lives beside one upper directory).
Copying up a file costs its size. What makes it exact is argued in ``tracking/README.md``.
"""

import os
from tempfile import mkdtemp

from fswatch_builder._native import (
    Baseline,
    ChangeSet,
    HintSet,
    RefusedError,
    Rootfs,
    Upper,
    mount_overlay,
    remove_tree,
)
from fswatch_builder.errors import TrackingError
from fswatch_builder.tracking.overlays import PREFIX, cause, obstacle
from fswatch_builder.tracking.protocol import Capability

BLIND_SPOTS = (
    "a command sees an overlay: it cannot make a character device 0/0, and a file it opened for reading before it was "
    "first written shows the old content",
)


class OverlayTracker:
    """See the module."""

    name = "overlay"
    in_place = False
    on_overlay = True
    anonymous = "an upper directory shows what was written, not by whom"

    def probe(self, rootfs: Rootfs) -> Capability:
        """Mounts an overlay beside the root file system and tries what exactness hangs on."""
        if not rootfs.merged:
            why_not = obstacle(_beside(rootfs))
            if why_not is not None:
                return Capability(usable=False, reason=why_not)
        return Capability(usable=True, reason="steps run on an overlay", blind_spots=BLIND_SPOTS)

    def arm(self, rootfs: Rootfs, baseline: Baseline) -> "OverlaySession":
        """Mounts the overlay, unless ``rootfs`` is one that was mounted here before.

        Its directories are made beside the root file system, and stay for as long as the one that holds both.
        """
        directory = None
        try:
            if not rootfs.merged:
                directory = mkdtemp(prefix=PREFIX, dir=_beside(rootfs))
                rootfs = mount_overlay(rootfs, os.fsencode(directory))
            return OverlaySession(rootfs, Upper(rootfs, baseline), baseline)
        except (OSError, RefusedError) as error:
            del rootfs
            if directory is not None:
                remove_tree(os.fsencode(directory))
            raise TrackingError(
                f"the overlay tracker cannot be used: {cause(error)}", hint="use --tracker auto or --tracker scan"
            ) from error


class OverlaySession:
    """Reads the upper directory of ``rootfs``, the merged view, whose mount lives as long as that object."""

    tracker = OverlayTracker.name
    needs_link_witness = False
    events = None

    def __init__(self, rootfs: Rootfs, upper: Upper, baseline: Baseline) -> None:
        self.rootfs = rootfs
        self._upper = upper
        self._baseline = baseline

    def settle(self) -> HintSet:
        """What is in the upper directory or in the index now, and what was in the former at the last baseline."""
        return self._upper.settle(self._baseline)

    def advance(self, baseline: Baseline, changes: ChangeSet) -> None:
        """Notes what is in the upper directory."""
        del changes
        self._baseline = baseline
        self._upper.advance()

    def close(self) -> None:
        """Nothing is watched. What was written is in the merged view, which is ``rootfs``."""


def _beside(rootfs: Rootfs) -> str:
    return os.path.dirname(os.path.abspath(os.fsdecode(rootfs.path)))


TRACKER = OverlayTracker()
