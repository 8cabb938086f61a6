"""``python -m benchmarks``: measures, prints, and records the figures with the machine they were taken on."""

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime

from benchmarks import break_even, machine
from benchmarks.corpora.tree import make_rootfs
from benchmarks.layers import suite as layers
from benchmarks.peers.kaniko import VERSION, executor
from benchmarks.recorded import costs
from benchmarks.tracking import suite as tracking
from benchmarks.workloads.cached import STEPS, measure_cached
from benchmarks.workloads.extra_run import RUNS, Row, measure_peer
from fswatch_builder.research.peers.base_archive import base_archive
from fswatch_builder.research.peers.buildah import Buildah
from fswatch_builder.research.peers.buildkitd import BuildKit
from fswatch_builder.research.peers.dockerd import BuildKitInDocker
from fswatch_builder.research.peers.kaniko import Kaniko
from fswatch_builder.research.peers.ours import Ours
from fswatch_builder.research.peers.peer import BASE, Peer
from fswatch_builder.research.peers.private import private_place

RESULTS = os.path.join(os.path.dirname(__file__), "results")


def _say(text: str) -> None:
    print(text, flush=True)


def _peers(cache: str, names: list[str]) -> list[Peer]:
    kaniko = executor(cache)
    known: list[Peer] = [
        Ours("auto"),
        Ours("inotify"),
        Ours("scan"),
        Ours("scan", "all"),
        Buildah(),
        BuildKit(),
        BuildKitInDocker(),
        Kaniko("full", kaniko),
        Kaniko("redo", kaniko),
    ]
    return [peer for peer in known if not names or any(name in peer.name for name in names)]


@contextmanager
def _corpus(directory: str, files: int) -> Iterator[str]:
    with tempfile.TemporaryDirectory(dir=directory, prefix=f"tree-{files}-") as place:
        rootfs = os.path.join(place, "rootfs")
        make_rootfs(rootfs, files)
        yield rootfs


def _extra_run(arguments: argparse.Namespace) -> list[Row]:
    rows = []
    for files in arguments.files:
        with _corpus(arguments.directory, files) as rootfs:
            archive = f"{rootfs}.tar"
            base_archive(rootfs, f"{BASE}:latest", archive, os.path.dirname(rootfs))
            for peer in _peers(arguments.cache, arguments.peer):
                if reason := peer.missing():
                    _say(f"{peer.name:32} {files:>8}  left out: {reason}")
                    continue
                with private_place(arguments.directory) as work:
                    try:
                        peer.prepare({BASE: archive}, work)
                        row = measure_peer(peer, files, work, arguments.runs, arguments.repeat)
                    finally:
                        peer.close()
                rows.append(row)
                own = "" if row.own_step_ms is None else f" (own clock {row.own_step_ms:.1f})"
                figures = f"{row.step_ms:>9.1f} ms a step{own} {row.one_run_s:>7.2f} s one RUN {row.peak_mib:>7.0f} MiB"
                _say(f"{row.peer:32} {row.files:>8}  {figures}")
    return rows


def _cached(arguments: argparse.Namespace) -> dict[str, float]:
    with (
        _corpus(arguments.directory, min(arguments.files)) as rootfs,
        tempfile.TemporaryDirectory(dir=arguments.directory, prefix="bench-") as work,
    ):
        cost = measure_cached(rootfs, work, max(arguments.repeat, 5))
    _say(f"cached rebuild of {STEPS} steps: {cost.seconds * 1000:.0f} ms, {cost.peak_kib / 1024:.0f} MiB")
    return {"seconds": cost.seconds, "peak_mib": cost.peak_kib / 1024}


def recorded(argv: list[str]) -> None:
    """Loaded for itself alone: it needs what draws."""
    from benchmarks.recorded.suite import main as suite

    suite(argv)


def main() -> None:
    """Measures what is asked for; records it only if everything asked for was measured."""
    # As Ctrl-C: what cleans up after one cleans up after the other.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    suites = {
        "tracking": tracking.main,
        "layers": layers.main,
        "break-even": break_even.main,
        "report": recorded,
        "costs": costs.main,
    }
    if sys.argv[1:2] and (suite := suites.get(sys.argv[1])):
        suite(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog="others: tracking, the trackers alone; layers, bases and outputs; report, a page of `bench`; costs, the "
        "table of the README",
    )
    parser.add_argument("--files", type=int, action="append", help="tree size; repeatable (default: 10000, 100000)")
    parser.add_argument("--repeat", type=int, default=3, help="builds of each kind, the fastest counts (default: 3)")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"RUNs of the longer build (default: {RUNS})")
    parser.add_argument("--peer", action="append", default=[], help="only peers whose name holds this; repeatable")
    parser.add_argument("--directory", default=tempfile.gettempdir(), help="where trees and stores are put")
    parser.add_argument("--cache", default=os.path.expanduser("~/.cache/fswatch-builder-bench"), help="built peers")
    parser.add_argument("--record", metavar="NAME", help="write results/NAME.json")
    arguments = parser.parse_args()
    arguments.files = arguments.files or [10_000, 100_000]
    if os.geteuid() != 0:
        sys.exit("benchmarks: the builders under measurement need root")
    os.makedirs(arguments.cache, exist_ok=True)
    document = {
        "taken": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": machine.describe(arguments.directory),
        "peers": {
            "buildah": machine.version("buildah", "--version"),
            "BuildKit": machine.version("buildkitd", "--version"),
            "BuildKit (dockerd)": machine.version("dockerd", "--version"),
            "kaniko": f"executor {VERSION}, built from source",
        },
        "cached_rebuild": _cached(arguments),
        "extra_run": [asdict(row) for row in _extra_run(arguments)],
    }
    if arguments.record:
        with open(os.path.join(RESULTS, f"{arguments.record}.json"), "w") as file:
            json.dump(document, file, indent=2)
            file.write("\n")
        if arguments.record == "tmpfs":
            costs.main([])


if __name__ == "__main__":
    main()
