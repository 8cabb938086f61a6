"""Random programs for long: ``python -m tests.soak``, or ``make soak PROGRAMS=5000``.

Stops at the number asked for, at the time asked for, or at Ctrl-C, and goes on with new seeds when it is started again.
Each batch is a line of ``.cache/soak/log``; a program that shows a difference is shortened and kept beside it.
``--seed N`` plays one program again.

A program counts if the layer of at least one RUN was compared between all trackers.
"""

import argparse
import contextlib
import json
import multiprocessing
import platform
import queue
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fswatch_builder._native import remove_tree
from tests.support import filesystems
from tests.support.programs.program import Program, drawn, shorter
from tests.support.tracked_programs import Bases, DifferenceError, play

KEPT = Path(__file__).parent.parent / ".cache/soak"
KINDS = ("tmpfs", "ramfs", "ext2", "ext4", "xfs", "btrfs")
BATCH = 50
PATIENCE_S = 120
"""A program takes milliseconds. One that takes so long hangs."""
SHORTENINGS = 400


@dataclass
class Batch:
    """Consecutive seeds, and what came of them."""

    first: int
    file_system: str
    tried: int = 0
    counted: int = 0
    seconds: float = 0
    trackers: list[str] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)


def program_of(seed: int) -> Program:
    """Every third has faults in it."""
    return drawn(random.Random(seed), faults=seed % 3 == 2)


@contextlib.contextmanager
def patience() -> Iterator[None]:
    """An assertion if it takes for ever."""

    def give_up(_number: int, _frame: object) -> None:
        raise AssertionError(f"it hangs: no end after {PATIENCE_S} s")

    previous = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


class Player:
    """Plays programs in a directory of its own on some file system."""

    def __init__(self, place: Path) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="soak-", dir=place))
        self.bases = Bases(self.directory)
        self._number = 0

    def play(self, program: Program, *, unpack: bool) -> tuple[list[str], int]:
        self._number += 1
        with patience():
            return play(self.bases, self.directory / f"program-{self._number}", program, unpack=unpack)

    def fails(self, program: Program) -> DifferenceError | None:
        """Its difference. What depends on timing is tried more often."""
        hazards = any(getattr(step, "at_once", False) or getattr(step, "kill", None) for step in program.steps)
        for _ in range(5 if hazards else 2):
            try:
                self.play(program, unpack=True)
            except DifferenceError as difference:
                return difference
        return None

    def shorten(self, difference: DifferenceError, stop: Any) -> DifferenceError:
        left = SHORTENINGS
        while left > 0:
            for candidate in shorter(difference.program):
                left = 0 if stop.is_set() else left - 1
                smaller = self.fails(candidate)
                if smaller is not None:
                    difference = smaller
                    break
                if left <= 0:
                    break
            else:
                break
        return difference

    def close(self) -> None:
        self.bases.close()
        remove_tree(str(self.directory).encode())


def work(number: int, jobs: int, place: str, kind: str, first: int, stop: Any, results: Any) -> None:
    """Batches, every ``jobs``-th of them, until told to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    player = Player(Path(place))
    try:
        start = first + number * BATCH
        while not stop.is_set():
            batch, begun = Batch(start, kind), time.monotonic()
            for seed in range(start, start + BATCH):
                if stop.is_set():
                    break
                batch.tried += 1
                try:
                    trackers, layers = player.play(program_of(seed), unpack=seed % 4 == 0)
                    batch.counted += layers > 0
                    batch.trackers = sorted({*batch.trackers, *(name for name in trackers if " " not in name)})
                except DifferenceError as difference:
                    least = player.shorten(difference, stop)
                    batch.failures.append({"seed": seed, "said": least.said, "program": repr(least.program)})
                    KEPT.joinpath(f"failure-{seed}").write_text(f"{least}\n\nAs it was drawn:\n{difference}\n")
            batch.seconds = round(time.monotonic() - begun, 1)
            results.put(batch)
            start += jobs * BATCH
    finally:
        player.close()
        results.put(None)


def logged() -> list[dict[str, Any]]:
    with contextlib.suppress(FileNotFoundError), open(KEPT / "log") as log:
        return [json.loads(line) for line in log]
    return []


def commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=KEPT.parent.parent, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    return git("rev-parse", "--short=12", "HEAD") + "+" * bool(git("status", "--porcelain", "--untracked-files=no"))


def soak(programs: int, minutes: float, jobs: int, kinds: list[str]) -> int:
    """The number of failures."""
    before = logged()
    first = max((line["first"] + line["tried"] for line in before), default=0)
    first = -(-first // BATCH) * BATCH
    total, failures, now = sum(line["counted"] for line in before), 0, 0
    about = {"kernel": platform.release(), "commit": commit()}
    context = multiprocessing.get_context("spawn")
    stop, results = context.Event(), context.Queue()
    end = time.monotonic() + minutes * 60
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.ExitStack() as stack, open(KEPT / "log", "a") as log:
        top = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mounts-", dir=KEPT)))
        places = {
            kind: KEPT if kind == "here" else stack.enter_context(filesystems.mounted(kind, top)) for kind in kinds
        }
        workers = [
            context.Process(target=work, args=(number, jobs, str(places[kind]), kind, first, stop, results))
            for number in range(jobs)
            for kind in [kinds[number % len(kinds)]]
        ]
        for worker in workers:
            worker.start()
        working = len(workers)
        while working:
            try:
                batch = results.get(timeout=1)
            except queue.Empty:
                died = any(worker.exitcode not in (None, 0) for worker in workers)
                if died or time.monotonic() > end:
                    stop.set()
                if not any(worker.is_alive() for worker in workers):
                    break
                continue
            except KeyboardInterrupt:  # or SIGTERM
                print("finishing what is under way", flush=True)
                stop.set()
                continue
            if batch is None:
                working -= 1
                continue
            line = {"date": datetime.now(UTC).isoformat(timespec="seconds"), **about, **asdict(batch)}
            log.write(json.dumps(line) + "\n")
            log.flush()
            now += batch.counted
            failures += len(batch.failures)
            for failure in batch.failures:
                print(f"seed {failure['seed']}: {failure['said']}\n  {failure['program']}", flush=True)
            print(f"{now} programs, {total + now} in all, {failures} differences", flush=True)
            if now >= programs or time.monotonic() > end:
                stop.set()
        for worker in workers:
            worker.join()
    return failures + sum(worker.exitcode != 0 for worker in workers)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=5000, help="how many more")
    parser.add_argument("--minutes", type=float, default=60, help="how long at most")
    parser.add_argument("--jobs", type=int, default=4, help="processes; most of the time one waits for the kernel")
    parser.add_argument("--seed", type=int, help="only this program, shown")
    choices = ("here", *KINDS)
    parser.add_argument("--on", nargs="+", default=["here", "tmpfs"], choices=choices, help="file systems")
    options = parser.parse_args()
    KEPT.mkdir(parents=True, exist_ok=True)
    if options.seed is None:
        return min(1, soak(options.programs, options.minutes, options.jobs, options.on))
    player = Player(KEPT)
    try:
        print(program_of(options.seed))
        difference = player.fails(program_of(options.seed))
        print(player.shorten(difference, multiprocessing.Event()) if difference else "no difference")
        return int(difference is not None)
    finally:
        player.close()


if __name__ == "__main__":
    sys.exit(main())
