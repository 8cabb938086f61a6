"""From which size on watching pays, and up to how much change."""

import os
import random
from collections.abc import Iterator, Sequence
from functools import partial

from fswatch_builder._native import Baseline, Rootfs
from fswatch_builder.research.corpora.registry import corpus
from fswatch_builder.research.limits.experiment import Column, Experiment, Figure, Laboratory, Point, Row, grid
from fswatch_builder.research.limits.finding_out import find_out
from fswatch_builder.research.machine import Machine
from fswatch_builder.research.strategies import Strategy, strategies
from fswatch_builder.research.workloads.files import drawn_files
from fswatch_builder.tracking.limits import watch_budget
from fswatch_builder.tracking.protocol import Session

_SHARES = (0.0, 0.001, 0.01, 0.1, 0.5)
_SCANS = ("scan", "scan-hash")


def _points(machine: Machine) -> Sequence[Point]:
    del machine
    return grid(files=(10, 30, 100, 300, 1_000, 10_000, 50_000))


def _more(machine: Machine) -> Sequence[Point]:
    del machine
    return grid(files=(200_000, 1_000_000))


def _methods(files: int, machine: Machine) -> list[Strategy]:
    """Those that work here, without a part of the tree left to a scan: two directories in nine files."""
    names = ["fanotify"] if machine.is_root else []
    names += ["inotify"] if files // 9 * 2 <= watch_budget(machine.watches) else []
    return [strategies()[name] for name in (*names, *_SCANS)]


def _measure(laboratory: Laboratory, point: Point) -> Iterator[Row]:
    files = int(point["files"] or 0)
    tree = os.path.join(laboratory.directory, "tree")
    corpus(f"wide-{files}").make(tree)
    rootfs = Rootfs(os.fsencode(tree))
    baseline, _ = Baseline.record(rootfs)
    draw = random.Random(laboratory.seed)
    pairs = [(share, strategy) for share in _SHARES for strategy in _methods(files, laboratory.machine)]
    for share, strategy in draw.sample(pairs, len(pairs)):
        names = drawn_files(tree, round(files * share), draw.randrange(2**32))
        draw.shuffle(names)
        found = find_out(rootfs, baseline, strategy, partial(_append, tree, names))
        baseline.advance(found.changes)
        yield {
            **point,
            "changed_share": share,
            "strategy": strategy.name,
            "entries": len(baseline),
            "directories": baseline.directories,
            "changes": len(found.changes),
            "arm_seconds": found.arm_s,
            "seconds": found.after_s,
        }


def _append(tree: str, names: Sequence[str], session: Session) -> None:
    """A byte more for each."""
    del session
    for name in names:
        with open(os.path.join(tree, name), "ab", buffering=0) as file:
            file.write(b"x")


def _figure(title: str, what: str, share: float) -> Figure:
    return Figure(title, "line", "files", what, "strategy", log_x=True, log_y=True, only=("changed_share", share))


EXPERIMENT = Experiment(
    name="break-even",
    asks="At which size of a tree, and up to which share of changed files, does watching beat scanning?",
    method=(
        "In a tree of small files a share of them, drawn at random, gets a byte more, under each strategy in an order "
        "that is drawn. The time is that from the last change to the list of changes; arming is told apart, for it is "
        "paid once a build. To the times a model is fitted: scanning costs by entries, watching by changes, arming by "
        "directories, each with a constant beside."
    ),
    columns=(
        Column("files", "", "files in the tree"),
        Column("changed_share", "", "files that were written", middle="none"),
        Column("strategy", "", "how changes were found, as in bench"),
        Column("entries", "", "entries in the tree"),
        Column("directories", "", "directories in the tree, its root with them"),
        Column("changes", "", "changes found"),
        Column("arm_seconds", "s", "once a build: trying the tracker, arming it, ending it"),
        Column("seconds", "s", "at every RUN"),
    ),
    figures=(
        _figure("Time to find out that nothing changed", "seconds", 0.0),
        _figure("Time to find out that a hundredth changed", "seconds", 0.01),
        _figure("Time to find out that half of it changed", "seconds", 0.5),
        _figure("Time to arm and to end", "arm_seconds", 0.0),
    ),
    points=_points,
    more=_more,
    measure=_measure,
    takes=lambda point: int(point["files"] or 0) * corpus("wide-1").recipe.bytes_per_file,
)
