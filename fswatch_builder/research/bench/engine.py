"""Runs trials, one after the other, each told as soon as it is known."""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from msgspec import Struct

from fswatch_builder._native import remove_tree
from fswatch_builder.errors import BuildError
from fswatch_builder.research.bench.caches import WARM
from fswatch_builder.research.bench.ground import Ground
from fswatch_builder.research.bench.judge import judge_for
from fswatch_builder.research.bench.meter import Meter
from fswatch_builder.research.bench.rows import Cell, ImageTrial, Row, Tree
from fswatch_builder.research.bench.schedule import Turn
from fswatch_builder.research.bench.trial import Clock, Trial, changed, unwatched, watched
from fswatch_builder.research.strategies import UNWATCHED, strategies
from fswatch_builder.research.workloads.workload import Tools, Workload


class Source(Protocol):
    """Where a tree comes from."""

    @property
    def name(self) -> str:
        """As the rows tell it."""

    @property
    def kind(self) -> str:
        """What workloads go by."""

    def make(self, directory: str) -> str:
        """Makes the tree at a path where nothing is, and tells its digest. BuildError."""


class Place(Struct, frozen=True):
    """A tree with everything planted. ``trial`` does one; BuildError if it cannot. ``judge`` says who judges.

    ``pristine`` is the tree that nobody touches, ``commands`` are run in a copy, by workload, and what they need beside
    it is in ``scratch``. ``before`` brings caches into the state that trials begin from. ``truth`` says what a workload
    really changes.
    """

    tree: Tree
    ground: Ground
    judge: str
    trial: Callable[[Cell], Trial]
    pristine: str
    scratch: str
    commands: Mapping[str, Sequence[str]]
    before: Callable[[], None]
    truth: Callable[[str], Mapping[bytes, str]]


@contextmanager
def place(
    source: Source,
    workloads: Iterable[Workload],
    directory: str,
    clock: Clock,
    before: Callable[[str], None],
    meter: Meter,
) -> Iterator[Place]:
    """Makes the tree twice below ``directory``; all of it is removed at the end. BuildError.

    ``before`` is called with the tree before each trial: where caches are dropped, if they are to be cold.
    """
    # Commands run in the tree, and are told of what they need beside it.
    home = os.path.realpath(tempfile.mkdtemp(dir=directory, prefix="fswatch-bench-"))
    try:
        pristine, worked, scratch = (os.path.join(home, name) for name in ("pristine", "worked", "scratch"))
        digest = source.make(pristine)
        commands = _commands(workloads, pristine, scratch)
        os.mkdir(worked)
        ground = Ground(worked, pristine)
        judge = judge_for(ground)

        def begin() -> None:
            before(ground.tree)

        def truth(workload: str) -> Mapping[bytes, str]:
            return changed(ground, commands[workload], judge, clock)

        def trial(cell: Cell) -> Trial:
            argv = commands[cell.workload]
            begin()
            if cell.strategy == UNWATCHED:
                return unwatched(ground, argv, judge, clock)
            return watched(ground, strategies()[cell.strategy], argv, judge, clock, meter)

        tree = Tree(source.name, ground.entries, digest)
        yield Place(tree, ground, judge.name, trial, pristine, scratch, commands, begin, truth)
    finally:
        remove_tree(os.fsencode(home))


def _commands(workloads: Iterable[Workload], pristine: str, scratch: str) -> Mapping[str, list[str]]:
    chosen = list(workloads)
    tools = {workload.name: Tools(os.path.join(scratch, workload.name)) for workload in chosen}
    for workload in chosen:
        os.makedirs(tools[workload.name].scratch)
        workload.plant(pristine, tools[workload.name])
    # Only now the tree is as the commands will find it.
    return {workload.name: list(workload.prepare(pristine, tools[workload.name])) for workload in chosen}


def rows(
    tree: Tree,
    trial: Callable[[Cell], Trial | ImageTrial],
    schedule: Iterable[Turn],
    load: Callable[[], float],
    done: Iterable[Row] = (),
    cache: str = WARM,
) -> Iterator[Row]:
    """The trials of ``schedule`` on ``tree`` that are not ``done`` yet.

    A command that fails though nobody watches is an error. One that fails under a strategy, or a strategy that cannot
    work here, is a row that says so; it is not tried again.
    """
    known = {(row.cell, row.repetition) for row in done}
    hopeless = {row.cell: row.problem for row in done if row.problem is not None}
    for turn in schedule:
        if (turn.cell, turn.repetition) in known:
            continue
        if turn.cell not in hopeless:
            load()
            try:
                found = trial(turn.cell)
            except BuildError as error:
                if turn.cell.strategy == UNWATCHED:
                    raise
                hopeless[turn.cell] = error.what
            else:
                if isinstance(found, Trial):
                    yield Row(turn.cell, tree, turn.repetition, load(), found, cache=cache)
                else:
                    yield Row(turn.cell, tree, turn.repetition, load(), None, cache=cache, built=found)
                continue
        yield Row(turn.cell, tree, turn.repetition, 0.0, None, hopeless[turn.cell], cache)
