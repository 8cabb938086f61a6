"""How long an event is under way."""

import os
import select
import time
from collections.abc import Iterator, Sequence

from inotify_simple import INotify  # type: ignore[import-untyped]

from fswatch_builder.research.limits.experiment import Column, Experiment, Figure, Laboratory, Point, Row, grid, no_more
from fswatch_builder.research.limits.queue import child
from fswatch_builder.research.machine import Machine

_CREATE = 0x100
_SAMPLES = 200
#: The name of each file is when it was made.
_WRITER = """
import os, random, sys, time
directory, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
os.chdir(directory)
draw = random.Random(seed)
for number in range(count):
    time.sleep(draw.uniform(0.0005, 0.004))
    os.close(os.open(str(time.monotonic_ns()), os.O_CREAT | os.O_WRONLY, 0o600))
"""


def _points(machine: Machine) -> Sequence[Point]:
    del machine
    return grid(interval_ms=(0, 1, 5, 20))


def _measure(laboratory: Laboratory, point: Point) -> Iterator[Row]:
    interval_ms = int(point["interval_ms"] or 0)
    delays: list[float] = []
    with INotify(nonblocking=True) as inotify:
        inotify.add_watch(laboratory.directory, _CREATE)
        with child(_WRITER, laboratory.directory, str(_SAMPLES), str(laboratory.seed)) as writer:
            while len(delays) < _SAMPLES:
                if interval_ms:
                    time.sleep(interval_ms / 1000)
                else:
                    select.select([inotify.fileno()], [], [], 1)
                ended = writer.poll() is not None
                events = inotify.read(timeout=0)
                now = time.monotonic_ns()
                delays += [(now - int(event.name)) / 1000 for event in events]
                if ended and not events:
                    break
    delays.sort()
    yield {
        **point,
        "reader": "timer" if interval_ms else "events",
        "samples": len(delays),
        "median_us": delays[len(delays) // 2],
        "p90_us": delays[len(delays) * 9 // 10],
        "max_us": delays[-1],
    }
    for name in os.listdir(laboratory.directory):
        os.unlink(os.path.join(laboratory.directory, name))


EXPERIMENT = Experiment(
    name="latency",
    asks="How long does it take from a change to the reader that knows of it?",
    method=(
        "A process makes files whose names are the time, at random intervals of 0.5 to 4 ms; another reads the "
        "events, woken by them (interval 0) or by a timer, and compares the name with its own clock "
        "(CLOCK_MONOTONIC, one for both). The time of open(2) itself is in it."
    ),
    columns=(
        Column("interval_ms", "ms", "sleep of the reader; 0: woken by events"),
        Column("reader", "", "what wakes the reader: events, or a timer"),
        Column("samples", "", "events of one repetition"),
        Column("median_us", "µs", "half took no longer"),
        Column("p90_us", "µs", "nine of ten took no longer"),
        Column("max_us", "µs", "the slowest"),
    ),
    figures=(Figure("From change to reader", "line", "interval_ms", "median_us", "reader"),),
    points=_points,
    more=no_more,
    measure=_measure,
)
