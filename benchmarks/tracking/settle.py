"""What each hint costs, from the end of the command to the changes: files made, and files written again."""

import os
import tempfile
from collections.abc import Iterator
from statistics import median

from benchmarks.row import Row, row, timed
from benchmarks.tracking.ground import Ground, baseline_of
from fswatch_builder._native import Rootfs
from fswatch_builder.changes.widen import widen
from fswatch_builder.tracking.protocol import Tracker

MOST_US = 10
#: 3 us for 64 bytes to 8 us for 9 kB: KERNEL figures for open, read and SHA-256.
MOST_HASHED_US = {64: 3, 9000: 8}
FILES_PER_DIRECTORY = 100


def _write(directory: str, count: int, content: bytes) -> None:
    for number in range(count):
        path = os.path.join(directory, str(number // FILES_PER_DIRECTORY), str(number % FILES_PER_DIRECTORY))
        with open(path, "wb") as file:
            file.write(content)


def _step(tracker: Tracker, place: str, content: bytes, count: int, before: bytes | None) -> tuple[float, int]:
    """Seconds, and how many files were hashed; ``before`` is what the files hold before the step."""
    with tempfile.TemporaryDirectory(dir=place, prefix="settle-") as directory:
        for number in range(count // FILES_PER_DIRECTORY):
            os.mkdir(os.path.join(directory, str(number)))
        if before is not None:
            _write(directory, count, before)
        rootfs = Rootfs(os.fsencode(directory))
        baseline = baseline_of(rootfs, digests=True)
        session = tracker.arm(rootfs, baseline)
        try:
            _write(directory, count, content)
            changes, taken = timed(lambda: baseline.reconcile(rootfs, widen(session.settle())[0]))
        finally:
            session.close()
        if len(changes) < count:
            raise AssertionError(f"{tracker.name} found {len(changes)} of {count} changes")
        return taken, changes.hashed_files


def settle_rows(ground: Ground, repeat: int, count: int) -> Iterator[Row]:
    """For every tracker that goes by events."""
    for name, tracker in ground.trackers().items():
        if name == "scan":
            continue
        made = [_step(tracker, ground.work, b"x" * 64, count, None)[0] / count * 1e6 for _ in range(repeat)]
        yield row("settle, a file made", name, count, made, "us", most=MOST_US)
        for size, most in MOST_HASHED_US.items():
            hashed = []
            for _ in range(repeat):
                taken, files = _step(tracker, ground.work, b"y" * size, count, b"x" * size)
                if files != count:
                    raise AssertionError(f"{files} of {count} files were hashed")
                hashed.append(taken / count * 1e6)
            extra = [value - median(made) for value in hashed]
            yield row(f"settle, {size} bytes hashed, on top", name, count, extra, "us", most=most)
