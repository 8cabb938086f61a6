"""What it costs to know again, after events were lost."""

import os
import time
from collections.abc import Iterator, Sequence

from inotify_simple import INotify  # type: ignore[import-untyped]

from fswatch_builder._native import Baseline, Rootfs, Watches
from fswatch_builder.changes.widen import widen
from fswatch_builder.research.corpora.registry import corpus
from fswatch_builder.research.limits.experiment import Column, Experiment, Figure, Laboratory, Point, Row, grid
from fswatch_builder.research.machine import Machine
from fswatch_builder.tracking.limits import watch_budget


def _points(machine: Machine) -> Sequence[Point]:
    return _of((1_000, 10_000, 50_000), machine)


def _more(machine: Machine) -> Sequence[Point]:
    return _of((200_000, 1_000_000), machine)


def _of(sizes: Sequence[int], machine: Machine) -> list[Point]:
    # Two directories in nine entries.
    return grid(files=[size for size in sizes if size // 9 * 2 <= watch_budget(machine.watches)], lost=(False, True))


def _measure(laboratory: Laboratory, point: Point) -> Iterator[Row]:
    tree = os.path.join(laboratory.directory, "tree")
    corpus(f"wide-{point['files']}").make(tree)
    rootfs = Rootfs(os.fsencode(tree))
    baseline, _ = Baseline.record(rootfs)
    place = os.path.join(tree, "0000", "00")
    with INotify(nonblocking=True) as inotify:
        watches = Watches(inotify.fileno())
        try:
            watches.arm(rootfs, baseline)
            if point["lost"]:
                watches.pause()
            burst = laboratory.machine.queued_events + 1 if point["lost"] else 100
            for number in range(burst):
                path = f"{place}/new{number}"
                os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
                if number >= 100:
                    os.unlink(path)
            if point["lost"]:
                watches.resume()
            begun = time.perf_counter()
            hints, losses = widen(watches.settle())
            changes = baseline.reconcile(rootfs, hints)
            seconds = time.perf_counter() - begun
        finally:
            watches.close()
    yield {
        **point,
        "entries": len(baseline),
        "seconds": seconds,
        "looked_at": changes.stats,
        "losses": len(losses),
        "changes": len(changes),
    }


EXPERIMENT = Experiment(
    name="recovery",
    asks="What does a queue that overflowed cost, compared with one that did not?",
    method=(
        "A hundred files are made in a watched tree. With lost, the reader is held back and more events follow than"
        " the queue takes. Then the time to know what changed is taken: without a loss from events, with one by "
        "looking at the whole tree. Both find the same."
    ),
    columns=(
        Column("files", "", "files in the tree before"),
        Column("lost", "", "whether events were lost"),
        Column("entries", "", "entries in the tree before"),
        Column("seconds", "s", "from the last change to the list of changes"),
        Column("looked_at", "", "entries that were looked at"),
        Column("losses", "", "losses that were reported"),
        Column("changes", "", "changes found"),
    ),
    figures=(Figure("Time to know what changed", "line", "files", "seconds", "lost", log_x=True, log_y=True),),
    points=_points,
    more=_more,
    measure=_measure,
    repeat=3,
)
