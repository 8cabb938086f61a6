"""What several experiments do: watch a tree, change it, find out what changed."""

import time
from collections.abc import Callable

from msgspec import Struct

from fswatch_builder._native import Baseline, ChangeSet, Rootfs
from fswatch_builder.changes.widen import widen
from fswatch_builder.research.strategies import Strategy
from fswatch_builder.tracking.protocol import Session


class FoundOut(Struct, frozen=True):
    """``arm_s`` is to be paid once a build: trying whether the tracker works, arming it, and ending it. ``after_s`` is
    paid at every RUN: from the last change to the list of changes.
    """

    arm_s: float
    after_s: float
    losses: int
    changes: ChangeSet


def find_out(rootfs: Rootfs, baseline: Baseline, strategy: Strategy, act: Callable[[Session], None]) -> FoundOut:
    """Arms, lets ``act`` change the tree, settles and compares; ``baseline`` stays what it was. TrackingError."""
    begun = time.perf_counter()
    strategy.method().probe(rootfs)
    session = strategy.method().arm(rootfs, baseline)
    try:
        armed = time.perf_counter()
        act(session)
        settling = time.perf_counter()
        hints, losses = widen(session.settle())
        changes = baseline.reconcile(rootfs, hints, hash=strategy.reads, links_made=0)
        compared = time.perf_counter()
    finally:
        session.close()
    closed = time.perf_counter()
    return FoundOut(armed - begun + closed - compared, compared - settling, len(losses), changes)
