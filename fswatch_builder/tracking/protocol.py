"""What a tracker is: something that says where to look after a RUN, and owns up to what it missed.

A tracker never decides what changed. It returns hints and losses; the disk, compared with the baseline, gives the
answer. So all trackers lead to the same layer, byte for byte, and differ in cost alone. ``README.md`` beside this
file argues why.
"""

from typing import Protocol

from msgspec import Struct

from fswatch_builder._native import Baseline, ChangeSet, HintSet, Rootfs
from fswatch_builder.model.attribution import Attribution


class Capability(Struct, frozen=True):
    """Whether a tracker works for one root file system, why, and what it cannot see even then."""

    usable: bool
    reason: str
    blind_spots: tuple[str, ...] = ()
    scans: bool = False
    """Whether it has to look everywhere after each RUN all the same: no better than a scan, then."""


class Session(Protocol):
    """One tracker in force on one root file system, from the unpacked base to the last step.

    The steps take turns: the command runs, its whole process tree ends, ``settle``, the changes are found,
    ``advance``. A step that runs nothing (COPY, ADD, a cached layer) is followed by ``advance`` too: what the builder
    wrote is no hint of the next RUN.
    """

    @property
    def tracker(self) -> str:
        """The tracker's name."""

    @property
    def needs_link_witness(self) -> bool:
        """Whether it misses what was done through a hard link that is gone again. Then somebody has to count the links
        that a RUN makes, and tell the number to `Baseline.reconcile`.
        """

    @property
    def events(self) -> int | None:
        """How many were read up to the last ``settle``, those about other trees too; None for who reads none."""

    @property
    def rootfs(self) -> Rootfs:
        """Where commands run, and where the builder writes, looks and packs, from ``arm`` on.

        It stays usable after ``close``, as long as somebody holds it, and can be armed again.
        """

    def settle(self) -> HintSet:
        """Hints and losses that cover every change since ``arm`` or the last ``advance``.

        To be called when the process tree is dead: an open descriptor and a mapping have no last event before that.
        Losses are not widened yet. ``OSError`` if the evidence cannot be read.
        """

    def advance(self, baseline: Baseline, changes: ChangeSet) -> None:
        """``changes`` have become part of ``baseline``: what happened up to now is accounted for."""

    def close(self) -> None:
        """Ends tracking. A second call does nothing."""


class AttributingSession(Session, Protocol):
    """One that knows who did it, too."""

    def attribute(self, baseline: Baseline, changes: ChangeSet) -> Attribution:
        """Who did what ``changes`` tell, relative to ``baseline``: after the ``settle`` that led to them."""


class Tracker(Protocol):
    """A way to find out where to look."""

    @property
    def name(self) -> str:
        """As ``--tracker`` takes it."""

    @property
    def in_place(self) -> bool:
        """Whether the sessions' ``rootfs`` is the one that was armed. If not, nobody may write to that one any more."""

    @property
    def on_overlay(self) -> bool:
        """Whether it is exact on the merged view of an overlay (``Rootfs.merged``). If not, ``probe`` refuses one."""

    @property
    def anonymous(self) -> str | None:
        """Why it cannot tell who did something; None for an `AttributingTracker`."""

    def probe(self, rootfs: Rootfs) -> Capability:
        """Tries whether it works here, rather than guess from a version."""

    def arm(self, rootfs: Rootfs, baseline: Baseline) -> Session:
        """In force on return. ``baseline`` describes the disk as it is. ``TrackingError`` if it cannot work."""


class AttributingTracker(Tracker, Protocol):
    """One that can tell who did something, where it is asked for."""

    def arm_attributing(self, rootfs: Rootfs, baseline: Baseline) -> AttributingSession:
        """As ``arm``, and processes are recorded. What happens before the first ``settle`` is attributed, too."""
