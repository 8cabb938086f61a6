"""One command, run once, and what one strategy makes of it: everything that is measured is measured here."""

import os
import resource
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from msgspec import Struct

from fswatch_builder._native import ChangeSet, HintSet, pack_layer
from fswatch_builder.changes.widen import widen
from fswatch_builder.errors import CommandError
from fswatch_builder.research import memory
from fswatch_builder.research.bench.ground import Ground
from fswatch_builder.research.bench.judge import Judge, judged
from fswatch_builder.research.bench.meter import Meter
from fswatch_builder.research.strategies import Strategy
from fswatch_builder.runtime.command import CommandOutcome, run_command
from fswatch_builder.tracking.protocol import Session

_TAIL = 500
"""Bytes of its output that are shown of a command that failed."""


class Clock(Protocol):
    """Seconds from some moment on."""

    def __call__(self) -> float:
        """Now."""


class FoundOut(Struct, frozen=True):
    """What finding out took, and what came out. Times are seconds, sizes bytes.

    ``own_cpu_s`` is processor time of this process, its reader thread's too, from arming to packing, the command's not.
    ``kernel`` is what the kernel's memory grew by with arming: watches and marks, counted for this process alone where
    it has a cgroup of its own, else as far as nobody else's came or went. ``peak_group`` is what that cgroup was
    charged with at most, the command and pages of files included. ``events`` were read, by who reads any. ``losses``
    are the reasons why a part of the tree had to be looked at whole. ``read`` counts bytes of content.
    """

    arm_s: float
    settle_s: float
    compare_s: float
    pack_s: float
    own_cpu_s: float
    peak_rss: int
    kernel: int
    peak_group: int | None
    events: int | None
    hints: int
    losses: tuple[str, ...]
    looked_at: int
    read: int
    missed: int
    spurious: int

    @property
    def after_s(self) -> float:
        """From the end of the command to the list of changes."""
        return self.settle_s + self.compare_s


class Trial(Struct, frozen=True):
    """``command_*`` is the command, watched or not; ``changes`` counts what it really changed."""

    command_s: float
    command_cpu_s: float
    changes: int
    found: FoundOut | None


def unwatched(ground: Ground, argv: Sequence[str], judge: Judge, clock: Clock) -> Trial:
    """The command alone. The tree is put back. CommandError if the command fails."""
    return _alone(ground, argv, judge, clock)[0]


def changed(ground: Ground, argv: Sequence[str], judge: Judge, clock: Clock) -> Mapping[bytes, str]:
    """What the command really changes, by path. The tree is put back. CommandError if the command fails."""
    return _alone(ground, argv, judge, clock)[1]


def _alone(ground: Ground, argv: Sequence[str], judge: Judge, clock: Clock) -> tuple[Trial, Mapping[bytes, str]]:
    cpu_before = _cpu(resource.RUSAGE_CHILDREN)
    begun = clock()
    outcome = _run(ground, argv, ground.rootfs.path, witness=False)
    command_s = clock() - begun
    command_cpu_s = _cpu(resource.RUSAGE_CHILDREN) - cpu_before
    truth = judge.truth(ground.rootfs)
    ground.put_back(truth)
    _check(ground, argv, outcome)
    return Trial(command_s, command_cpu_s, len(truth), None), truth


def watched(ground: Ground, strategy: Strategy, argv: Sequence[str], judge: Judge, clock: Clock, meter: Meter) -> Trial:
    """The command under ``strategy``. The tree is put back. CommandError if the command fails, TrackingError if the
    strategy cannot work here.
    """
    meter.reset()
    kernel_before, cpu_before = meter.kernel(), _cpu(resource.RUSAGE_SELF)
    started = clock()
    session = strategy.method().arm(ground.rootfs, ground.baseline)
    armed = clock()
    try:
        kernel = max(0, meter.kernel() - kernel_before)
        children_before = _cpu(resource.RUSAGE_CHILDREN)
        begun = clock()
        outcome = _run(ground, argv, session.rootfs.path, witness=session.needs_link_witness)
        ended = clock()
        command_cpu_s = _cpu(resource.RUSAGE_CHILDREN) - children_before
        settling = clock()
        hints, losses = widen(session.settle())
        settled = clock()
        changes = _compared(ground, session, hints, strategy, outcome)
        compared = clock()
        _pack(ground, session, changes)
        packed = clock()
        own_cpu_s = _cpu(resource.RUSAGE_SELF) - cpu_before
        peak_rss, peak_group, events = memory.peak_rss(), meter.peak_group(), session.events
        truth = judge.truth(session.rootfs)
    finally:
        session.close()
    if strategy.method().in_place:
        ground.put_back(truth)
    verdict = judged(strategy.seen(changes), truth)
    found = FoundOut(
        arm_s=armed - started,
        settle_s=settled - settling,
        compare_s=compared - settled,
        pack_s=packed - compared,
        own_cpu_s=own_cpu_s,
        peak_rss=peak_rss,
        kernel=kernel,
        peak_group=peak_group,
        events=events,
        hints=len(hints),
        losses=tuple(sorted({reason for reason, _ in (*losses, *changes.losses)})),
        looked_at=changes.stats,
        read=changes.hashed_bytes,
        missed=verdict.missed,
        spurious=verdict.spurious,
    )
    del session
    ground.sweep()
    _check(ground, argv, outcome)
    return Trial(ended - begun, command_cpu_s, len(truth), found)


def _compared(
    ground: Ground, session: Session, hints: HintSet, strategy: Strategy, outcome: CommandOutcome
) -> ChangeSet:
    """As a build does it: the tree is a copy of our own, so no file has a name outside it."""
    links_made = outcome.links_made if session.needs_link_witness else 0
    return ground.baseline.reconcile(session.rootfs, hints, hash=strategy.reads, links_made=links_made)


def _pack(ground: Ground, session: Session, changes: ChangeSet) -> None:
    """The layer, to nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        pack_layer(session.rootfs, ground.baseline, changes, nowhere)
    finally:
        os.close(nowhere)


def _run(ground: Ground, argv: Sequence[str], cwd: bytes, *, witness: bool) -> CommandOutcome:
    with _output_to(ground.output):
        outcome = run_command([os.fsencode(word) for word in argv], cwd=cwd, witness=witness)
    if outcome.interrupted:
        # While a command runs, Ctrl-C is its business; here it is the user's wish to end.
        raise KeyboardInterrupt
    return outcome


@contextmanager
def _output_to(path: str) -> Iterator[None]:
    """What is written to our standard output and error meanwhile goes there."""
    kept = [os.dup(1), os.dup(2)]
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        for number in (1, 2):
            os.dup2(opened, number)
        yield
    finally:
        for number, original in enumerate(kept, start=1):
            os.dup2(original, number)
            os.close(original)
        os.close(opened)


def _check(ground: Ground, argv: Sequence[str], outcome: CommandOutcome) -> None:
    if outcome.problem is not None:
        raise CommandError(outcome.problem, outcome.exit_status)
    if outcome.exit_status:
        with open(ground.output, "rb") as file:
            said = file.read()[-_TAIL:].decode(errors="replace").strip()
        told = f", having said: {said}" if said else ", having said nothing"
        raise CommandError(f"{' '.join(argv)} ends with status {outcome.exit_status}{told}", 1)


def _cpu(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime
