"""--audit: after every step on the root file system the oracle looks at all of it and has to agree.

The state it saw after one step is the one before the next, so each step costs one look. It is slow and meant to be: it
reads every file, and shares no code with what it judges.
"""

import time
from collections.abc import Collection

from msgspec import Struct

from fswatch_builder import stopping
from fswatch_builder._native import Baseline, ChangeSet, Rootfs
from fswatch_builder.build.events import Events, StepNote
from fswatch_builder.build.worksite import Worksite
from fswatch_builder.changes.audit import Evidence, check_baseline, check_changes
from fswatch_builder.changes.oracle import Snapshot, entries
from fswatch_builder.model.image import Layer

#: Seconds between two notes on a look that takes long.
_PATIENCE = 1.0


class _Seen(Struct, frozen=True):
    """The state of a root file system with these layers; another one has another baseline."""

    baseline: Baseline
    layers: tuple[Layer, ...]
    state: Snapshot


class Audit:
    """The audit of one stage. Of each of its steps: ``begin``, ``check``, ``end``."""

    def __init__(self, events: Events) -> None:
        """What it says goes to ``events``."""
        self._events = events
        self._seen: _Seen | None = None

    def begin(self, site: Worksite, number: int) -> None:
        """Before a step. Layers unpacked since the last one are looked at, and their baseline. Raises AuditError."""
        seen = self._seen
        if seen is None or seen.baseline is not site.baseline or seen.layers != site.layers:
            self._seen = None  # two states in memory are enough
            started = time.monotonic()
            self._look(site, site.rootfs, number)
            self.end(site)
            self._agreed("recorded", number, started)

    def check(
        self,
        site: Worksite,
        rootfs: Rootfs,
        changes: ChangeSet,
        evidence: Evidence,
        listed: Collection[bytes],
        number: int,
    ) -> None:
        """After a step on ``rootfs``, before anything of it is kept. Raises AuditError."""
        started = time.monotonic()
        before = self._state()
        self._look(site, rootfs, number)
        check_changes(before, self._state(), changes, evidence, listed)
        self._agreed("agree", number, started)

    def end(self, site: Worksite) -> None:
        """After the baseline took the step's changes over. Raises AuditError."""
        check_baseline(site.baseline, self._state())
        self._seen = _Seen(site.baseline, site.layers, self._state())

    def _look(self, site: Worksite, rootfs: Rootfs, number: int) -> None:
        state = {}
        told = time.monotonic()
        for path, entry in entries(rootfs.path):
            state[path] = entry
            if time.monotonic() - told > _PATIENCE:
                stopping.check()
                told = time.monotonic()
                self._events.emit(StepNote(number, f"audit: {len(state):,} entries read"))
        self._seen = _Seen(site.baseline, site.layers, state)

    def _state(self) -> Snapshot:
        if self._seen is None:
            raise RuntimeError("the audit has not begun")
        return self._seen.state

    def _agreed(self, how: str, number: int, started: float) -> None:
        count = len(self._state()) - 1
        seconds = time.monotonic() - started
        self._events.emit(StepNote(number, f"audit: {count:,} entries {how}, {seconds:.1f} s"))
