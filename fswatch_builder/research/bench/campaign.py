"""A whole run of ``bench``: every tree of a plan, every trial on it, within the time there is."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from msgspec import Struct

from fswatch_builder.errors import UsageError
from fswatch_builder.research.bench import caches
from fswatch_builder.research.bench.building import Builder, builders
from fswatch_builder.research.bench.engine import Place, Source, place, rows
from fswatch_builder.research.bench.meter import Meter
from fswatch_builder.research.bench.room import check_strategy, usable
from fswatch_builder.research.bench.rows import Cell, ImageTrial, Plan, Row
from fswatch_builder.research.bench.schedule import turns
from fswatch_builder.research.bench.trial import Trial
from fswatch_builder.research.cgroup import own_group
from fswatch_builder.research.machine import Background
from fswatch_builder.research.peers.peer import Peer
from fswatch_builder.research.strategies import UNWATCHED, strategies
from fswatch_builder.research.workloads.workload import Workload


class Onlooker(Protocol):
    """Learns how a run gets on."""

    def begins(self, corpus: str) -> None:
        """A tree is being made."""

    def prepares(self, corpus: str, what: str) -> None:
        """Something else that may take a while, before anything is measured on it."""

    def left_out(self, strategy: str, reason: str) -> None:
        """A strategy that nobody asked for by name cannot work on it."""

    def is_at(self, corpus: str, done: int, of: int, seconds_left: float | None) -> None:
        """So many trials of that tree are done. ``seconds_left`` for it, once that can be told."""

    def has_no_time(self, corpus: str, repetitions: int) -> None:
        """Time is up, after so many whole repetitions."""


class Campaign(Struct, frozen=True):
    """``named``: the strategies were asked for by name, so one that cannot work is an error.
    ``directory`` takes the trees. ``seconds``: the time there is, or None for as long as it takes. ``peers``: builders
    that take part.
    """

    plan: Plan
    sources: Sequence[Source]
    workloads: Sequence[Workload]
    directory: str
    named: bool
    seconds: float | None = None
    peers: Sequence[Peer] = ()

    def run(self, onlooker: Onlooker, done: Sequence[Row] = ()) -> Iterator[Row]:
        """Each row as it is known, those that are ``done`` left out. BuildError."""
        with own_group() as group:
            yield from self._measured(Meter(group), onlooker, done)

    def _measured(self, meter: Meter, onlooker: Onlooker, done: Sequence[Row]) -> Iterator[Row]:
        before = caches.STATES[self.plan.cache]
        until = None if self.seconds is None else time.monotonic() + self.seconds
        for number, source in enumerate(self.sources):
            onlooker.begins(source.name)
            # Each tree gets its share of what is left.
            share = (
                None if until is None else time.monotonic() + (until - time.monotonic()) / (len(self.sources) - number)
            )
            workloads = [workload for workload in self.workloads if workload.fits(source.kind)]
            with place(source, workloads, self.directory, time.perf_counter, before, meter) as there:
                here = self._strategies(there, onlooker)
                with self._builders(there, workloads, onlooker) as known:
                    names = [it.name for it in workloads]
                    yield from self._rows(there, known, names, [*here, *known], share, onlooker, done)

    @contextmanager
    def _builders(
        self, there: Place, workloads: Sequence[Workload], onlooker: Onlooker
    ) -> Iterator[Mapping[str, Builder]]:
        if not self.peers:
            yield {}
            return

        def begins(what: str) -> None:
            onlooker.prepares(there.tree.name, what)

        with builders(self.peers, there, workloads, self.directory, begins) as known:
            yield known

    def _strategies(self, there: Place, onlooker: Onlooker) -> list[str]:
        chosen = [UNWATCHED]
        for name in self.plan.strategies:
            if name == UNWATCHED:
                continue
            if self.named:
                check_strategy(strategies()[name], there.ground)
            elif (reason := usable(strategies()[name], there.ground)) is not None:
                onlooker.left_out(name, reason)
                continue
            chosen.append(name)
        return chosen

    def _rows(
        self,
        there: Place,
        builders: Mapping[str, Builder],
        workloads: Sequence[str],
        names: Sequence[str],
        until: float | None,
        onlooker: Onlooker,
        done: Sequence[Row],
    ) -> Iterator[Row]:
        def trial(cell: Cell) -> Trial | ImageTrial:
            builder = builders.get(cell.strategy)
            return there.trial(cell) if builder is None else builder(cell)

        schedule = turns(there.tree.name, workloads, names, self.plan.repeat, self.plan.seed)
        a_repetition, total = len(workloads) * len(names), len(workloads) * len(names) * self.plan.repeat
        begun, longest = time.monotonic(), 0.0
        for count, row in enumerate(rows(there.tree, trial, schedule, Background(), done, self.plan.cache), start=1):
            now = time.monotonic()
            # One that was not finished would leave some strategies with fewer trials than others.
            yield row
            if count % a_repetition == 0:
                repetitions = count // a_repetition
                longest = max(longest, (now - begun) / repetitions)
                if until is not None and now + longest > until and count < total:
                    onlooker.has_no_time(there.tree.name, repetitions)
                    return
            # Something has been compared by then.
            if until is not None and now > until and len(names) <= count < total:
                onlooker.has_no_time(there.tree.name, count // a_repetition)
                return
            # Once every strategy has been seen.
            left = (now - begun) / count * (total - count) if count >= len(names) else None
            if left is not None and until is not None:
                left = min(left, until - now)
            onlooker.is_at(there.tree.name, count, total, left)


def check_directory(directory: str) -> None:
    """UsageError if no tree can be made there."""
    if not os.path.isdir(directory):
        raise UsageError(f"{directory} is not a directory", hint="--directory takes one that trees can be made in")
    if not os.access(directory, os.W_OK | os.X_OK, effective_ids=True):
        raise UsageError(f"{directory} may not be written to")
