"""Hints against a walk, and against a walk of two trees side by side."""

import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from fswatch_builder._native import Baseline, ChangeSet, HintSet, Rootfs
from fswatch_builder.changes.widen import widen
from fswatch_builder.research.corpora.registry import corpus
from fswatch_builder.research.limits.experiment import Column, Experiment, Figure, Laboratory, Point, Row, grid
from fswatch_builder.research.machine import Machine
from fswatch_builder.research.workloads.files import drawn_files
from fswatch_builder.tracking.registry import trackers

_CHANGED = 10


def _points(machine: Machine) -> Sequence[Point]:
    del machine
    return grid(mebibytes=(64, 256))


def _more(machine: Machine) -> Sequence[Point]:
    del machine
    return grid(mebibytes=(1_024, 8_192))


def _measure(laboratory: Laboratory, point: Point) -> Iterator[Row]:
    tree, lower = (os.path.join(laboratory.directory, name) for name in ("tree", "lower"))
    corpus(f"big-{point['mebibytes']}").make(tree)
    subprocess.run(["cp", "--archive", "--reflink=never", tree, lower], check=True)
    rootfs, other = Rootfs(os.fsencode(tree)), Rootfs(os.fsencode(lower))
    baseline, _ = Baseline.record(rootfs)
    session = trackers()["inotify"].arm(rootfs, baseline)
    try:
        for name in drawn_files(tree, _CHANGED, laboratory.seed):
            with open(os.path.join(tree, name), "r+b", buffering=0) as file:
                file.write(b"x")
        begun = time.perf_counter()
        hints, _losses = widen(session.settle())
        settled = time.perf_counter() - begun
    finally:
        session.close()
    methods: Mapping[str, Callable[[], ChangeSet]] = {
        "hints": lambda: baseline.reconcile(rootfs, hints, links_made=0),
        "one walk": lambda: baseline.reconcile(rootfs, _everywhere()),
        "double walk": lambda: _recorded(other, digests=False).reconcile(rootfs, _everywhere(), hash="none"),
        "double walk, contents": lambda: _recorded(other, digests=True).reconcile(rootfs, _everywhere(), hash="all"),
    }
    for method in random.Random(laboratory.seed).sample(sorted(methods), len(methods)):
        begun = time.perf_counter()
        changes = methods[method]()
        seconds = time.perf_counter() - begun
        files = sum(change.after is not None and change.after.kind == "file" for change in changes.changes)
        yield {
            **point,
            "method": method,
            "seconds": seconds + (settled if method == "hints" else 0),
            "looked_at": changes.stats,
            "read_bytes": changes.hashed_bytes,
            "missed": _CHANGED - files,
        }


def _everywhere() -> HintSet:
    hints = HintSet()
    hints.add(b"", "subtree")
    return hints


def _recorded(rootfs: Rootfs, *, digests: bool) -> Baseline:
    return Baseline.record(rootfs, digests=digests)[0]


EXPERIMENT = Experiment(
    name="double-walk",
    asks="What does a difference by hints spare against a walk of both trees, in a tree of large files?",
    method=(
        "A tree of files of 1 MiB is copied with its times; in the one a byte is written to ten files under inotify. "
        "Then, in an order that is drawn: hints (settled, and compared with the record), one walk (all compared with "
        "the record), a double walk (the copy walked and recorded, then the tree compared with it: by time, size, mode "
        "and owner, or by reading every file of both). All on two threads with warm caches. The --full run has 8 GiB, "
        "twice."
    ),
    columns=(
        Column("mebibytes", "MiB", "size of the tree"),
        Column("method", "", "how the difference is found"),
        Column("seconds", "s", "from the last change to the list of changes"),
        Column("looked_at", "", "entries of the changed tree that were looked at"),
        Column("read_bytes", "B", "content read in the changed tree"),
        Column("missed", "", "changed files that were not found"),
    ),
    figures=(Figure("Time to the difference", "line", "mebibytes", "seconds", "method", log_x=True, log_y=True),),
    points=_points,
    more=_more,
    measure=_measure,
    repeat=3,
    programs=("cp",),
    takes=lambda point: 2 * int(point["mebibytes"] or 0) << 20,
)
