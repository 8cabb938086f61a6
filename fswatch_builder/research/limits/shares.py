"""How much of a build goes into snapshots: kaniko's own benchmark, with this builder's parts."""

import os
import random
import subprocess
import time
from collections.abc import Iterator, Sequence
from statistics import median

from fswatch_builder._native import Baseline, HintSet, Rootfs, pack_layer
from fswatch_builder.changes.widen import widen
from fswatch_builder.research.limits.experiment import Claim, Column, Experiment, Figure, Laboratory, Point, Row, grid
from fswatch_builder.research.machine import Machine
from fswatch_builder.research.strategies import Strategy, strategies
from fswatch_builder.tracking.protocol import Session

_SCANS = ("scan-hash", "scan-meta", "scan")
_CONTENT = b"a line of text, as a context has them\n" * 5
#: A process for each file, as in the original.
_MAKE = "mkdir workdir; i=1; while [ $i -le {files} ]; do cat context.txt > workdir/somefile$i; i=$((i + 1)); done"
_LIST = "ls -al workdir > /dev/null"


def _points(machine: Machine) -> Sequence[Point]:
    del machine
    return grid(files=(1_000, 10_000))


def _more(machine: Machine) -> Sequence[Point]:
    del machine
    return grid(files=(50_000, 100_000))


def _measure(laboratory: Laboratory, point: Point) -> Iterator[Row]:
    tree = os.path.join(laboratory.directory, "tree")
    os.mkdir(tree)
    with open(os.path.join(tree, "context.txt"), "wb") as file:
        file.write(_CONTENT)
    rootfs = Rootfs(os.fsencode(tree))
    baseline, _ = Baseline.record(rootfs)
    watcher = "fanotify" if laboratory.machine.is_root else "inotify"
    compared = [strategies()[name] for name in (watcher, *_SCANS)]
    draw = random.Random(laboratory.seed)
    session = strategies()[watcher].method().arm(rootfs, baseline)
    commands = pack = 0.0
    found = dict.fromkeys((strategy.name for strategy in compared), 0.0)
    try:
        for command in (_MAKE.format(files=point["files"]), _LIST):
            begun = time.perf_counter()
            subprocess.run(["sh", "-c", command], cwd=tree, check=True)
            commands += time.perf_counter() - begun
            begun = time.perf_counter()
            hints, _losses = widen(session.settle())
            found[watcher] += time.perf_counter() - begun
            for strategy in draw.sample(compared, len(compared)):
                found[strategy.name] += _find(rootfs, baseline, strategy, hints)
            pack += _pack(rootfs, baseline, hints, session)
    finally:
        session.close()
    for name, seconds in found.items():
        yield {
            **point,
            "strategy": name,
            "command_seconds": commands,
            "find_seconds": seconds,
            "pack_seconds": pack,
            "find_share": seconds / (commands + seconds + pack),
            "snapshot_share": (seconds + pack) / (commands + seconds + pack),
        }


def _find(rootfs: Rootfs, baseline: Baseline, strategy: Strategy, hints: HintSet) -> float:
    """Seconds. A scan looks everywhere, whatever there are for hints."""
    where = hints
    if not strategy.watches:
        where = HintSet()
        where.add(b"", "subtree")
    begun = time.perf_counter()
    baseline.reconcile(rootfs, where, hash=strategy.reads, links_made=0)
    return time.perf_counter() - begun


def _pack(rootfs: Rootfs, baseline: Baseline, hints: HintSet, session: Session) -> float:
    """Seconds that the layer takes, to nowhere. What it holds is part of ``baseline`` afterwards."""
    changes = baseline.reconcile(rootfs, hints, links_made=0)
    begun = time.perf_counter()
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        pack_layer(rootfs, baseline, changes, nowhere)
    finally:
        os.close(nowhere)
    seconds = time.perf_counter() - begun
    baseline.advance(changes)
    session.advance(baseline, changes)
    return seconds


def _of_full(rows: Sequence[Row]) -> float | None:
    shares = [
        float(row["snapshot_share"] or 0)
        for row in rows
        if row["strategy"] == "scan-hash" and int(row["files"] or 0) >= 10_000
    ]
    return median(shares) if shares else None


EXPERIMENT = Experiment(
    name="shares",
    asks="What share of a build are snapshots, if a RUN makes many files and another only lists them?",
    method=(
        "kaniko's own benchmark (its integration/benchmark_fs): one command makes files in one directory, with a "
        "process for each, and another lists them. After each, every strategy finds out what changed, in an order that "
        "is drawn, and the layer is packed, uncompressed. The parts are this builder's, and so faster than kaniko's."
    ),
    columns=(
        Column("files", "", "files that the first command makes"),
        Column("strategy", "", "how changes are found, as in bench"),
        Column("command_seconds", "s", "both commands"),
        Column("find_seconds", "s", "finding out what changed, after both"),
        Column("pack_seconds", "s", "packing both layers"),
        Column("find_share", "", "of all that, finding out"),
        Column("snapshot_share", "", "of all that, finding out and packing"),
    ),
    figures=(
        Figure("Share of finding out", "bar", "files", "find_share", "strategy"),
        Figure("Share of snapshots, packing with them", "bar", "files", "snapshot_share", "strategy"),
    ),
    points=_points,
    more=_more,
    measure=_measure,
    repeat=2,
    programs=("sh", "cat", "ls"),
    takes=lambda point: int(point["files"] or 0) * 4_608,
    claims=(
        Claim(
            "32 to 78 % of a build with 10,000 to 700,000 files are full snapshots",
            "GoogleContainerTools/kaniko#1300: builds in mode full against builds without snapshots",
            0.32,
            0.78,
            "of the time",
            _of_full,
        ),
    ),
)
