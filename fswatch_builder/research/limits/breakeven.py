"""From which size on watching pays, and up to how much change."""

import os
import random
import time
from collections.abc import Iterator, Sequence

from fswatch_builder._native import Baseline, Rootfs
from fswatch_builder.changes.widen import widen
from fswatch_builder.research.corpora.registry import corpus
from fswatch_builder.research.limits.experiment import Column, Experiment, Figure, Laboratory, Point, Row, grid
from fswatch_builder.research.machine import Machine
from fswatch_builder.research.strategies import strategies
from fswatch_builder.research.workloads.files import drawn_files
from fswatch_builder.tracking.limits import watch_budget

_METHODS = ("fanotify", "inotify", "scan", "scan-hash")


def _points(machine: Machine) -> Sequence[Point]:
    return _of((100, 1_000, 10_000, 50_000), machine)


def _more(machine: Machine) -> Sequence[Point]:
    return _of((200_000, 1_000_000), machine)


def _of(sizes: Sequence[int], machine: Machine) -> list[Point]:
    points = grid(files=sizes, changed_share=(0.0, 0.001, 0.01, 0.1, 0.5), strategy=_METHODS)
    return [point for point in points if _possible(point, machine)]


def _possible(point: Point, machine: Machine) -> bool:
    files = int(point["files"] or 0)
    if point["strategy"] == "fanotify":
        return machine.is_root
    return point["strategy"] != "inotify" or files // 9 * 2 <= watch_budget(machine.watches)


def _measure(laboratory: Laboratory, point: Point) -> Iterator[Row]:
    files, strategy = int(point["files"] or 0), strategies()[str(point["strategy"])]
    tree = os.path.join(laboratory.directory, "tree")
    corpus(f"wide-{files}").make(tree)
    rootfs = Rootfs(os.fsencode(tree))
    baseline, _ = Baseline.record(rootfs)
    names = drawn_files(tree, round(files * float(point["changed_share"] or 0)), laboratory.seed)
    random.Random(laboratory.seed).shuffle(names)
    begun = time.perf_counter()
    session = strategy.method().arm(rootfs, baseline)
    try:
        armed = time.perf_counter()
        for name in names:
            with open(os.path.join(tree, name), "ab", buffering=0) as file:
                file.write(b"x")
        settling = time.perf_counter()
        hints, _losses = widen(session.settle())
        changes = baseline.reconcile(rootfs, hints, hash=strategy.reads, links_made=0)
        ended = time.perf_counter()
    finally:
        session.close()
    yield {
        **point,
        "entries": len(baseline),
        "changes": len(changes),
        "arm_seconds": armed - begun,
        "seconds": ended - settling,
    }


EXPERIMENT = Experiment(
    name="break-even",
    asks="At which size of a tree, and up to which share of changed files, does watching beat scanning?",
    method=(
        "In a tree of small files a share of them, drawn at random, gets a byte more. The time is that from the "
        "last change to the list of changes; arming is told apart, for it is paid once a build. To the times a "
        "model is fitted: scanning costs by entries, watching by changes, both a constant beside."
    ),
    columns=(
        Column("files", "", "files in the tree"),
        Column("changed_share", "", "files that were written"),
        Column("strategy", "", "how changes were found, as in bench"),
        Column("entries", "", "entries in the tree"),
        Column("changes", "", "changes found"),
        Column("arm_seconds", "s", "once a build"),
        Column("seconds", "s", "at every RUN"),
    ),
    figures=(Figure("Time to find out", "line", "files", "seconds", "strategy", log_x=True, log_y=True),),
    points=_points,
    more=_more,
    measure=_measure,
    repeat=3,
)
