"""What a reader of events costs the command that is watched: by what wakes it."""

import os
import random
import subprocess
import tarfile
import time
from collections.abc import Iterator, Sequence
from io import BytesIO

from inotify_simple import flags  # type: ignore[import-untyped]

from fswatch_builder.research.limits.claims import middle
from fswatch_builder.research.limits.experiment import (
    Claim,
    Column,
    Experiment,
    Figure,
    Laboratory,
    Point,
    Row,
    grid,
    no_more,
)
from fswatch_builder.research.limits.queue import OVERFLOW, Queue
from fswatch_builder.research.machine import Machine

_FILES, _SIZE, _DIRECTORIES = 5_900, 9_150, 590
_MASK = int(flags.CREATE | flags.DELETE | flags.MOVED_FROM | flags.MOVED_TO | flags.ATTRIB | flags.CLOSE_WRITE)
_READERS = {"poll": 0.0, "every 1 ms": 0.001, "every 5 ms": 0.005, "every 20 ms": 0.02, "at the end": None}
_EARLIER = "our own earlier measurement with a reader in C, Linux 6.18, ext4"


def _points(machine: Machine) -> Sequence[Point]:
    del machine
    return grid(reader=tuple(_READERS))


def _measure(laboratory: Laboratory, point: Point) -> Iterator[Row]:
    archive = os.path.join(laboratory.directory, "archive.tar")
    _pack(archive, laboratory.seed)
    taken: dict[bool, float] = {}
    drains = events = overflows = 0
    for watched in random.Random(laboratory.seed).sample((True, False), 2):
        place = os.path.join(laboratory.directory, "watched" if watched else "alone")
        directories = [os.path.join(place, f"{number:03}") for number in range(_DIRECTORIES)]
        os.mkdir(place)
        for directory in directories:
            os.mkdir(directory)
        # What the last one left to write is no cost of this one.
        os.sync()
        if not watched:
            taken[watched], _ = _untar(archive, place, None, None)
            continue
        with Queue([place, *directories], _MASK) as queue:
            taken[watched], drains = _untar(archive, place, queue, _READERS[str(point["reader"])])
            found = list(queue.events())
        overflows = sum(bool(event.mask & OVERFLOW) for event in found)
        events = len(found) - overflows
    yield {
        **point,
        "seconds": taken[True],
        "unwatched_seconds": taken[False],
        "slowdown": taken[True] / taken[False],
        "drains": drains,
        "events": events,
        "overflows": overflows,
    }


def _takes(point: Point) -> int:
    """The archive, and what is unpacked of it twice."""
    del point
    return _FILES * 12_288 * 3


def _pack(path: str, seed: int) -> None:
    draw = random.Random(seed)
    with tarfile.open(path, "w") as archive:
        for number in range(_FILES):
            member = tarfile.TarInfo(f"{number % _DIRECTORIES:03}/{number:05}")
            member.size = _SIZE
            archive.addfile(member, BytesIO(draw.randbytes(_SIZE)))


def _untar(archive: str, place: str, queue: Queue | None, interval_s: float | None) -> tuple[float, int]:
    """Seconds, and how often the reader looked."""
    begun = time.perf_counter()
    with subprocess.Popen(["tar", "--no-same-owner", "-xf", archive], cwd=place) as tar:
        if queue is None:
            tar.wait()
            return time.perf_counter() - begun, 0
        drains = queue.drain_until_end(tar, interval_s)
    return time.perf_counter() - begun, drains


EXPERIMENT = Experiment(
    name="reader",
    asks="By how much does a reader of events slow the command, by what wakes the reader?",
    method=(
        "5,900 files of 9 kB are unpacked by tar into 590 directories that are there and watched by inotify (not for "
        "IN_MODIFY), and into as many that nobody watches, in an order that is drawn. The reader blocks in poll and is "
        "woken by events, or sleeps and then reads all there is, or reads at the end. What it reads it throws away."
    ),
    columns=(
        Column("reader", "", "poll: woken by events; every ...: by a timer; at the end: when tar has ended"),
        Column("seconds", "s", "time of tar while it was watched, to the last event"),
        Column("unwatched_seconds", "s", "time of tar while nobody watched"),
        Column("slowdown", "", "the one to the other"),
        Column("drains", "", "how often the reader looked"),
        Column("events", "", "events read"),
        Column("overflows", "", "IN_Q_OVERFLOW events"),
    ),
    figures=(Figure("Slowdown of an untar", "bar", "reader", "slowdown", "reader"),),
    points=_points,
    more=no_more,
    measure=_measure,
    programs=("tar",),
    takes=_takes,
    claims=(
        Claim(
            "a reader that blocks in poll makes an untar take 1.4 times as long",
            _EARLIER,
            1.25,
            1.55,
            "times",
            lambda rows: middle(rows, "slowdown", reader="poll"),
        ),
        Claim(
            "a reader that drains every 5 ms makes it take 1.1 times as long",
            _EARLIER,
            1.0,
            1.2,
            "times",
            lambda rows: middle(rows, "slowdown", reader="every 5 ms"),
        ),
    ),
)
