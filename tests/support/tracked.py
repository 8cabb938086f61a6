"""All trackers in force together on one tree; what each finds must be what the oracle finds."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fswatch_builder import _native as native
from fswatch_builder.changes import oracle
from fswatch_builder.changes.widen import widen
from fswatch_builder.tracking.protocol import Tracker
from fswatch_builder.tracking.registry import trackers

Described = list[tuple[bytes, str, frozenset[str]]]
"""Path, kind and reasons of each change."""


def whole() -> native.HintSet:
    """Look everywhere."""
    hints = native.HintSet()
    hints.add(b"", "subtree")
    return hints


def described(changes: native.ChangeSet) -> Described:
    return [(change.path, change.kind, change.why) for change in changes.changes]


def pack(
    rootfs: native.Rootfs, baseline: native.Baseline, changes: native.ChangeSet, path: Path
) -> tuple[bytes, native.PackedLayer]:
    """The layer, which is left at ``path``."""
    with open(path, "wb") as file:
        packed = native.pack_layer(rootfs, baseline, changes, file.fileno())
    return path.read_bytes(), packed


def usable_here(rootfs: native.Rootfs) -> list[Tracker]:
    """Those of the registry that watch ``rootfs`` where it lies; scan and inotify among them."""
    found = [each for each in trackers().values() if each.in_place and each.probe(rootfs).usable]
    assert {each.name for each in found} >= {"scan", "inotify"}
    return found


class Armed:
    """Every tracker in force on ``rootfs``, all from one baseline; the oracle has seen the state before."""

    def __init__(self, rootfs: native.Rootfs, baseline: native.Baseline | None) -> None:
        self.rootfs = rootfs
        self.baseline = baseline or native.Baseline.record(rootfs)[0]
        self.before = oracle.snapshot(rootfs.path)
        self.sessions = [tracker.arm(rootfs, self.baseline) for tracker in usable_here(rootfs)]

    def settle(self) -> dict[str, native.ChangeSet]:
        """What each tracker leads to."""
        hints = {session.tracker: widen(session.settle())[0] for session in self.sessions}
        return {tracker: self.baseline.reconcile(self.rootfs, found) for tracker, found in hints.items()}

    def judge(self) -> Described:
        """What did change, says the oracle, which knows nothing of hints, baselines or the native half."""
        judged = oracle.compare(self.before, oracle.snapshot(self.rootfs.path))
        return [(change.path, change.kind, change.why) for change in judged]

    def close(self) -> None:
        for session in self.sessions:
            session.close()


@contextmanager
def armed(rootfs: native.Rootfs, baseline: native.Baseline | None = None) -> Iterator[Armed]:
    """``baseline``: recorded before. Else it is recorded now."""
    together = Armed(rootfs, baseline)
    try:
        yield together
    finally:
        together.close()


def assert_nothing_missed(together: Armed, *, but_by: tuple[str, ...] = ()) -> Described:
    """Each tracker finds what the oracle finds, but for those that are known to miss it. Returns what it finds."""
    found = together.settle()
    judged = together.judge()
    for tracker, changes in found.items():
        if tracker in but_by:
            assert described(changes) != judged, f"{tracker} is better than its reputation"
        else:
            assert described(changes) == judged, tracker
    return judged
