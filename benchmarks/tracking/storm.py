"""What watching costs a command that writes one file without end, with all that it takes to know what it did."""

import os
import subprocess
import time
from collections.abc import Iterator
from functools import partial

from benchmarks.peers.compiled import compiled
from benchmarks.row import Row, in_turns, row
from benchmarks.tracking.ground import Ground, everything
from benchmarks.tracking.slowdown import HEEDED, TURNS, UNWATCHED, processor_seconds
from fswatch_builder.changes.widen import widen
from fswatch_builder.tracking.protocol import Tracker

#: fanotify's mark, which reports nothing of the file that is written to. It is the least where a tracker asks the
#: kernel to be silent about that file alone.
IGNORED = "fanotify, no events"
WRITES = 1_000_000
WHAT = f"one file written {WRITES:,} times"
MOST = 1.2
FILE = "data/hot"


def storm_rows(ground: Ground, repeat: int) -> Iterator[Row]:
    """In the tree itself. By a tracker it is the command, settling and comparing: who has asked to be told of no writes
    has to look at the tree, and that is part of the price. How many did is a row, too.
    """
    repeat *= TURNS
    argv = [compiled("rewrite", ground.work), FILE, str(WRITES)]
    heed = compiled("heed", ground.work)
    watched = {name: tracker for name, tracker in ground.trackers().items() if name != "scan"}
    runs = {name: partial(_run, ground, argv, tracker) for name, tracker in watched.items()}
    runs[UNWATCHED] = partial(_run, ground, argv, None)
    for name in watched.keys() & HEEDED.keys():
        runs[HEEDED[name]] = partial(_run, ground, [heed, name, *argv], None)
    if "fanotify" in watched:
        runs[IGNORED] = partial(_run, ground, [heed, FILE, *argv], None)
    figures = in_turns(runs, repeat)
    # The directory that the file came to and went from has another time.
    ground.baseline.advance(ground.baseline.reconcile(ground.rootfs, everything()))
    walls, used, scanned = (
        {name: [run[part] for run in taken] for name, taken in figures.items()} for part in range(3)
    )
    for name in sorted(runs.keys() - {UNWATCHED}):
        most = MOST if name in watched else None
        for what, of, goal in ((WHAT, walls, most), (f"{WHAT}, processor", used, None)):
            unwatched = of[UNWATCHED]
            yield row(what, name, ground.files, of[name], "ms", peer=UNWATCHED, peer_values=unwatched, most=goal)
        if name in watched:
            yield row(f"{WHAT}, runs then scanned", name, ground.files, [sum(scanned[name])], f"of {repeat}")


def _run(ground: Ground, argv: list[str], tracker: Tracker | None) -> tuple[float, float, bool]:
    """Milliseconds of the wall clock, milliseconds on processors, and whether the whole tree was looked at."""
    # What the last run left to write is no cost of this one.
    os.sync()
    session = None if tracker is None else tracker.arm(ground.rootfs, ground.baseline)
    scanned = False
    try:
        processors, begun = _processors(), time.perf_counter()
        subprocess.run(argv, cwd=ground.directory, check=True)
        if session is not None:
            hints, losses = widen(session.settle())
            ground.baseline.reconcile(ground.rootfs, hints)
            scanned = any(path == b"" for _, path in losses)
        taken, used = time.perf_counter() - begun, _processors() - processors
    finally:
        if session is not None:
            session.close()
        os.unlink(os.path.join(ground.directory, FILE))
    return taken * 1000, used * 1000, scanned


def _processors() -> float:
    """Seconds of this process, its threads and its children."""
    return time.process_time() + processor_seconds()
