"""Which tracker a build uses, and why."""

from collections.abc import Mapping
from typing import TypeGuard

from msgspec import Struct

from fswatch_builder._native import Baseline, Rootfs
from fswatch_builder.errors import TrackingError, UsageError
from fswatch_builder.tracking.break_even import dearer_than_scan
from fswatch_builder.tracking.limits import watch_budget
from fswatch_builder.tracking.protocol import AttributingTracker, Tracker
from fswatch_builder.tracking.registry import trackers

AUTO = "auto"
PREFERRED = ("fanotify", "inotify", "scan")
"""What ``auto`` tries, cheapest first for all but small trees. The last one works everywhere."""
ON_OVERLAY = ("overlay", "inotify", "scan")
"""The same for the merged view of an overlay. There the first one needs neither watches nor a count of links."""


class Selection(Struct, frozen=True):
    """A tracker and the reasons that led to it, in the order they came up.

    ``dear`` names trackers that were passed over because the tree is too small for them.
    """

    tracker: Tracker
    why: tuple[str, ...]
    dear: tuple[str, ...] = ()

    def outgrown(self, baseline: Baseline, runs: int) -> bool:
        """Whether another choice would be made by now, ``runs`` being those so far and the next one."""
        scans = self.tracker.name == "scan"
        return scans and any(dearer_than_scan(tracker, baseline, runs) is None for tracker in self.dear)


def select(name: str, rootfs: Rootfs, baseline: Baseline, runs: int = 1) -> Selection:
    """The tracker of that name, or for ``auto`` the cheapest that works for this root file system (break_even.py).

    ``UsageError`` for an unknown name, ``TrackingError`` if a tracker asked for by name cannot work here: only
    ``auto`` falls back.
    """
    known = _known(name)
    preferred = ON_OVERLAY if rootfs.merged else PREFERRED
    why: list[str] = []
    dear: list[str] = []
    for candidate in preferred if name == AUTO else (name,):
        if name == AUTO and (reason := dearer_than_scan(candidate, baseline, runs)) is not None:
            # Not even tried: that takes time too.
            why.append(f"{candidate}: {reason}")
            dear.append(candidate)
            continue
        tracker = known[candidate]
        capability = tracker.probe(rootfs)
        why.append(f"{candidate}: {capability.reason}")
        if capability.usable and not (capability.scans and name == AUTO):
            if candidate == "inotify":
                why.extend(_shortage(baseline.directories))
            return Selection(tracker, tuple(why), tuple(dear))
    raise TrackingError(
        f"the {name} tracker cannot be used: {why[-1].removeprefix(f'{name}: ')}",
        hint="use --tracker auto or --tracker scan",
    )


def select_attributing(name: str, rootfs: Rootfs) -> tuple[AttributingTracker, Selection]:
    """The tracker of that name, or for ``auto`` the one there is, that can tell who did something; as a selection too.

    ``UsageError`` for an unknown name, ``TrackingError`` with the reason if it cannot tell, or cannot work here.
    """
    known = _known(name)
    candidates = [tracker for tracker in known.values() if _attributes(tracker)]
    if name != AUTO:
        candidates = [tracker for tracker in candidates if tracker.name == name]
        if not candidates:
            raise TrackingError(
                f"the {name} tracker cannot tell processes: {known[name].anonymous}",
                hint="use --tracker fanotify, or --tracker auto",
            )
    why = []
    for tracker in candidates:
        capability = tracker.probe(rootfs)
        why.append(f"{tracker.name}: {capability.reason}")
        if capability.usable:
            return tracker, Selection(tracker, tuple(why))
    raise TrackingError(f"processes cannot be told here: {'; '.join(why)}")


def _attributes(tracker: Tracker) -> TypeGuard[AttributingTracker]:
    return tracker.anonymous is None


def takes_overlay(name: str) -> bool:
    """Whether the tracker of that name, or ``auto``, may be given the merged view of an overlay. Raises UsageError."""
    known = _known(name)
    return name == AUTO or known[name].on_overlay


def _known(name: str) -> Mapping[str, Tracker]:
    known = trackers()
    if name != AUTO and name not in known:
        raise UsageError(f"there is no tracker {name!r}", hint=f"known are {', '.join((AUTO, *known))}")
    return known


def _shortage(directories: int) -> list[str]:
    budget = watch_budget(directories)
    if budget >= directories:
        return []
    return [
        f"inotify: room for {budget} of {directories} watches, so a part of the tree is scanned at each step "
        "(fs.inotify.max_user_watches)"
    ]
