"""``python -m benchmarks tracking``: what tracking costs, line by line, each beside its peer of the same run."""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime

from benchmarks import machine
from benchmarks.corpora.tree import make_rootfs
from benchmarks.report import markdown
from benchmarks.row import Row
from benchmarks.tracking.arming import arming_rows
from benchmarks.tracking.ground import Ground, baseline_of
from benchmarks.tracking.index import index_rows
from benchmarks.tracking.scan import scan_rows
from benchmarks.tracking.settle import settle_rows
from benchmarks.tracking.slowdown import slowdown_rows
from benchmarks.tracking.step import SMALL, measure_step, step_rows
from benchmarks.tracking.storm import storm_rows
from fswatch_builder._native import Rootfs

RESULTS = os.path.join(os.path.dirname(os.path.dirname(__file__)), "results")
PARTS = ("slowdown", "storm", "settle", "index", "arming", "scan", "step")
MILLION = 1_000_000


@contextmanager
def _ground(directory: str, files: int, *, digests: bool) -> Iterator[Ground]:
    with tempfile.TemporaryDirectory(dir=directory, prefix=f"tracking-{files}-") as place:
        root, work = os.path.join(place, "rootfs"), os.path.join(place, "work")
        os.mkdir(work)
        make_rootfs(root, files)
        rootfs = Rootfs(os.fsencode(root))
        baseline = baseline_of(rootfs, digests=digests)
        baseline.save(os.path.join(os.fsencode(work), b"baseline"))
        yield Ground(root, work, files, rootfs, baseline)


def _rows(arguments: argparse.Namespace) -> Iterator[Row]:
    parts, repeat = arguments.only or PARTS, arguments.repeat
    steps: dict[int, dict[str, list[float]]] = {}
    with _ground(arguments.directory, SMALL, digests=True) as ground:
        if "slowdown" in parts:
            yield from slowdown_rows(ground, repeat)
        if "storm" in parts:
            yield from storm_rows(ground, repeat)
        if "settle" in parts:
            for count in (10_000, 100_000):
                yield from settle_rows(ground, repeat, count)
        if "step" in parts:
            steps[SMALL] = measure_step(ground, max(repeat, 20))
    if not {"index", "arming", "scan", "step", "storm"} & set(parts):
        return
    with _ground(arguments.directory, arguments.files, digests="step" in parts) as ground:
        if "index" in parts:
            yield from index_rows(ground, repeat)
        if "storm" in parts:
            yield from storm_rows(ground, repeat)
        if "arming" in parts:
            yield from arming_rows(ground, repeat)
        if "scan" in parts:
            yield from scan_rows(ground, repeat)
        if "step" in parts:
            steps[arguments.files] = measure_step(ground, max(repeat, 20))
    yield from step_rows(steps)


def main(argv: list[str]) -> None:
    """Prints each line as it is known; records them only if everything asked for was measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks tracking", description=__doc__)
    parser.add_argument("--files", type=int, default=MILLION, help=f"size of the large tree (default: {MILLION})")
    parser.add_argument("--repeat", type=int, default=5, help="runs of each, in turns; the median counts (default: 5)")
    parser.add_argument("--only", action="append", choices=PARTS, help="repeatable (default: everything)")
    parser.add_argument("--directory", default=tempfile.gettempdir(), help="where trees are put")
    parser.add_argument("--record", metavar="NAME", help="write results/tracking-NAME.json")
    arguments = parser.parse_args(argv)
    if os.geteuid() != 0:
        sys.exit("benchmarks: fanotify needs root")
    rows = []
    for row in _rows(arguments):
        print(row, flush=True)
        rows.append(row)
    if arguments.record:
        document = {
            "taken": datetime.now(UTC).strftime("%Y-%m-%d"),
            "machine": machine.describe(arguments.directory),
            "load": os.getloadavg()[2],
            "rows": [asdict(row) for row in rows],
        }
        path = os.path.join(RESULTS, f"tracking-{arguments.record}")
        with open(f"{path}.json", "w") as file:
            json.dump(document, file, indent=2)
            file.write("\n")
        print(markdown(rows))
