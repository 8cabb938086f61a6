"""How long an event is under way."""

import os
import select
import time
from collections.abc import Iterator, Sequence

from inotify_simple import INotify, flags  # type: ignore[import-untyped]

from fswatch_builder.research.limits.experiment import Column, Experiment, Figure, Laboratory, Point, Row, grid, no_more
from fswatch_builder.research.limits.queue import child
from fswatch_builder.research.machine import Machine

_SAMPLES = 200
_MASKS = {"create": int(flags.CREATE), "write": int(flags.MODIFY)}
#: Says of each file when it was about to be touched. Every one is another, so that no two events are merged.
_WRITER = """
import os, random, sys, time
directory, act, count, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
os.chdir(directory)
draw = random.Random(seed)
if act == "write":
    files = [os.open(str(number), os.O_CREAT | os.O_WRONLY, 0o600) for number in range(count)]
times = []
for number in range(count):
    time.sleep(draw.uniform(0.0005, 0.004))
    times.append(time.monotonic_ns())
    if act == "write":
        os.write(files[number], b"x")
    else:
        os.close(os.open(str(number), os.O_CREAT | os.O_WRONLY, 0o600))
print(*times)
"""


def _points(machine: Machine) -> Sequence[Point]:
    del machine
    return grid(act=tuple(_MASKS), interval_ms=(0, 1, 5, 20))


def _measure(laboratory: Laboratory, point: Point) -> Iterator[Row]:
    interval_ms, act = int(point["interval_ms"] or 0), str(point["act"])
    arrived: dict[str, int] = {}
    with INotify(nonblocking=True) as inotify:
        inotify.add_watch(laboratory.directory, _MASKS[act])
        with child(_WRITER, laboratory.directory, act, str(_SAMPLES), str(laboratory.seed)) as writer:
            while len(arrived) < _SAMPLES:
                if interval_ms:
                    time.sleep(interval_ms / 1000)
                else:
                    select.select([inotify.fileno()], [], [], 1)
                ended = writer.poll() is not None
                events = inotify.read(timeout=0)
                now = time.monotonic_ns()
                arrived |= {event.name: now for event in events}
                if ended and not events:
                    break
            said, _ = writer.communicate()
    began = {str(number): int(moment) for number, moment in enumerate(said.split())}
    delays = sorted((moment - began[name]) / 1000 for name, moment in arrived.items())
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
        "A process makes files, or writes a byte to one after the other of files that are open, at random intervals "
        "of 0.5 to 4 ms, and notes when it is about to; another reads the events, woken by them (interval 0) or by a "
        "timer, and notes when (CLOCK_MONOTONIC, one for both). The time of the system call itself is in it."
    ),
    columns=(
        Column("act", "", "create: a file is made; write: a byte is written to an open one"),
        Column("interval_ms", "ms", "sleep of the reader; 0: woken by events"),
        Column("reader", "", "what wakes the reader: events, or a timer"),
        Column("samples", "", "events of one repetition"),
        Column("median_us", "µs", "half took no longer"),
        Column("p90_us", "µs", "nine of ten took no longer"),
        Column("max_us", "µs", "the slowest"),
    ),
    figures=(
        Figure("From change to reader", "line", "interval_ms", "median_us", "act"),
        Figure("From change to reader, the slowest of 200", "line", "interval_ms", "max_us", "act"),
    ),
    points=_points,
    more=no_more,
    measure=_measure,
)
