"""The saved baseline: its size, and the time to write and to open it."""

import os
from collections.abc import Iterator

from benchmarks.row import Row, in_turns, row, seconds
from benchmarks.tracking.ground import Ground
from fswatch_builder._native import Baseline

MOST_BYTES = 150
MOST_LOAD_MS = 50


def index_rows(ground: Ground, repeat: int) -> Iterator[Row]:
    """``bytes``: those of the file that are no names, for each entry."""
    path = os.fsencode(os.path.join(ground.work, "index"))
    ground.baseline.save(path)
    names = sum(len(os.path.basename(path)) for path in ground.baseline.paths())
    size = (os.stat(path).st_size - names) / len(ground.baseline)
    yield row("index, beside the names", "an entry", ground.files, [size], "bytes", most=MOST_BYTES)
    runs = {
        "save": lambda: seconds(lambda: ground.baseline.save(path)) * 1000,
        "load": lambda: seconds(lambda: Baseline.open(path)) * 1000,
    }
    figures = in_turns(runs, repeat)
    yield row("index", "save", ground.files, figures["save"], "ms")
    # The goal is for a million; opening reads everything once.
    most = MOST_LOAD_MS * max(ground.files / 1_000_000, 0.1)
    yield row("index", "load", ground.files, figures["load"], "ms", most=most)
