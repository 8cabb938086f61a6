"""When events are lost: bursts against a reader that comes by now and then."""

import os
import time
from collections.abc import Iterator, Sequence
from statistics import median

from fswatch_builder.research.limits.claims import middle
from fswatch_builder.research.limits.experiment import Claim, Column, Experiment, Figure, Laboratory, Point, Row, grid
from fswatch_builder.research.limits.queue import OVERFLOW, Queue, child
from fswatch_builder.research.machine import Machine

_CREATE = 0x100
_BURST = """
import os, sys
directory, count = sys.argv[1], int(sys.argv[2])
os.chdir(directory)
for number in range(count):
    os.close(os.open("%08d" % number, os.O_CREAT | os.O_WRONLY, 0o600))
"""
NEVER = -1
"""An interval: the reader comes when the writer has ended."""


def _points(machine: Machine) -> Sequence[Point]:
    depth = machine.queued_events
    bursts = [depth // 2, depth, depth + 1, depth * 2, depth * 4]
    return grid(burst=bursts, interval_ms=(NEVER, 200, 100, 50, 20, 5, 0))


def _more(machine: Machine) -> Sequence[Point]:
    return grid(burst=[machine.queued_events * 16], interval_ms=(NEVER, 200, 100, 50, 20, 5, 0))


def _measure(laboratory: Laboratory, point: Point) -> Iterator[Row]:
    yield burst(laboratory, point, laboratory.machine.queued_events)


def burst(laboratory: Laboratory, point: Point, queue_depth: int) -> Row:
    """One burst of events against one reader, whose queue takes ``queue_depth``."""
    count, interval_ms = int(point["burst"] or 0), int(point["interval_ms"] or 0)
    with Queue([laboratory.directory], _CREATE) as queue:
        begun = time.perf_counter()
        with child(_BURST, laboratory.directory, str(count)) as writer:
            drains = queue.drain_until_end(writer, None if interval_ms == NEVER else interval_ms / 1000)
        seconds = time.perf_counter() - begun
        events = list(queue.events())
    for number in range(count):
        os.unlink(os.path.join(laboratory.directory, f"{number:08}"))
    overflows = sum(bool(event.mask & OVERFLOW) for event in events)
    arrived = len(events) - overflows
    return {
        **point,
        "queue_depth": queue_depth,
        "arrived": arrived,
        "lost": count - arrived,
        "lost_share": (count - arrived) / count,
        "overflowed": int(overflows > 0),
        "overflows": overflows,
        "drains": drains,
        "events_per_second": count / seconds,
    }


def _kept(rows: Sequence[Row]) -> float | None:
    """The events that arrived of bursts that were larger than the queue, in terms of its depth."""
    kept = [
        float(row["arrived"] or 0) / float(row["queue_depth"] or 1)
        for row in rows
        if row["interval_ms"] == NEVER and int(row["burst"] or 0) > int(row["queue_depth"] or 0)
    ]
    return median(kept) if kept else None


EXPERIMENT = Experiment(
    name="overflow",
    asks="How large a burst, and how slow a reader, until events are lost?",
    method=(
        "A process creates files in one directory as fast as it can, while another drains the queue of its inotify "
        "instance at an interval (0: it is woken by each event; -1: only when the writer has ended). An event for "
        "each file is expected; those that are missing are lost, and the kernel says so with one event of its own "
        "each time."
    ),
    columns=(
        Column("burst", "", "files created, an event each"),
        Column("interval_ms", "ms", "sleep of the reader between two drains; 0: woken by events; -1: reads at the end"),
        Column("queue_depth", "", "events that the queue takes: fs.inotify.max_queued_events"),
        Column("arrived", "", "events that were read"),
        Column("lost", "", "events that never came"),
        Column("lost_share", "", "the same, of the burst"),
        Column("overflowed", "", "1 if anything was lost, else 0; the mean is how probable that is", middle="mean"),
        Column("overflows", "", "IN_Q_OVERFLOW events"),
        Column("drains", "", "how often the reader looked"),
        Column("events_per_second", "1/s", "what the writer reached, its start counted"),
    ),
    figures=(
        Figure("Events lost", "line", "burst", "lost_share", "interval_ms", log_x=True),
        Figure("Probability that events are lost", "line", "burst", "overflowed", "interval_ms", log_x=True),
    ),
    points=_points,
    more=_more,
    measure=_measure,
    claims=(
        Claim(
            "a queue that nobody reads keeps as many events as it may and loses what follows",
            "inotify(7): fs.inotify.max_queued_events, 16,384 by default",
            1,
            1,
            "of the limit",
            _kept,
        ),
        Claim(
            "a reader that comes every 20 ms loses nothing",
            "our own earlier measurement, Linux 6.18",
            0,
            0,
            "of the events lost",
            lambda rows: middle(rows, "lost_share", interval_ms=20),
        ),
    ),
)
