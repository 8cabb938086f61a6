"""``python -m benchmarks layers``: what bases, layers and outputs cost, each beside its peer of the same run."""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime

from benchmarks import machine
from benchmarks.corpora.tree import make_rootfs, pack
from benchmarks.layers.context import context_rows
from benchmarks.layers.importing import import_rows
from benchmarks.layers.memory import memory_rows
from benchmarks.layers.pack import pack_rows
from benchmarks.layers.pulling import pull_rows
from benchmarks.layers.realistic import make_base, make_job, realistic_rows
from benchmarks.layers.unpack import first_run_rows, unpack_rows
from benchmarks.report import markdown
from benchmarks.row import Row
from fswatch_builder.research.peers.base_archive import base_archive
from fswatch_builder.research.peers.buildah import Buildah
from fswatch_builder.research.peers.dockerd import BuildKitInDocker
from fswatch_builder.research.peers.ours import Ours
from fswatch_builder.research.peers.peer import BASE, Peer

RESULTS = os.path.join(os.path.dirname(os.path.dirname(__file__)), "results")
#: Files of a base as distributions make them: Debian's has some 9,000.
DISTRIBUTION = 10_000
PARTS = ("memory", "unpack", "first-run", "pack", "context", "realistic")


def _place(directory: str, name: str, stack: ExitStack) -> str:
    return stack.enter_context(tempfile.TemporaryDirectory(dir=directory, prefix=f"layers-{name}-"))


def _rows(arguments: argparse.Namespace) -> Iterator[Row]:
    parts, repeat = arguments.only or PARTS, arguments.repeat
    if {"memory", "unpack", "first-run"} & set(parts):
        with ExitStack() as stack:
            work = _place(arguments.directory, "base", stack)
            rootfs, archive = os.path.join(work, "rootfs"), os.path.join(work, "rootfs.tar")
            make_rootfs(rootfs, arguments.files)
            pack(rootfs, archive)
            if "memory" in parts:
                yield from memory_rows(rootfs, _place(work, "memory", stack))
            if "unpack" in parts:
                yield from unpack_rows(archive, arguments.files, work, repeat)
                yield from import_rows(archive, arguments.files, work, repeat)
                yield from pull_rows(archive, arguments.files, work, repeat)
            if "first-run" in parts:
                yield from first_run_rows(rootfs, arguments.files, _place(work, "first", stack), repeat)
                small = os.path.join(work, "small")
                make_rootfs(small, DISTRIBUTION)
                yield from first_run_rows(small, DISTRIBUTION, _place(work, "first-small", stack), repeat)
    if "pack" in parts:
        with ExitStack() as stack:
            yield from pack_rows(_place(arguments.directory, "pack", stack), max(repeat, 7))
    if "context" in parts:
        with ExitStack() as stack:
            yield from context_rows(_place(arguments.directory, "context", stack), repeat)
    if "realistic" in parts:
        with ExitStack() as stack:
            work = _place(arguments.directory, "realistic", stack)
            base, archive = os.path.join(work, "base"), os.path.join(work, "base.tar")
            make_base(base, work)
            base_archive(base, f"{BASE}:latest", archive, work)
            job = make_job(_place(work, "context", stack))
            yield from realistic_rows(_prepared(archive, work, stack), job, work, repeat)


def _prepared(archive: str, work: str, stack: ExitStack) -> list[Peer]:
    """Those that are installed, with the base imported; ours first."""
    ready: list[Peer] = []
    peers: list[Peer] = [Ours("auto"), Buildah(), BuildKitInDocker()]
    for peer in peers:
        if reason := peer.missing():
            print(f"{peer.name:44} left out: {reason}", flush=True)
            continue
        stack.callback(peer.close)
        peer.prepare({BASE: archive}, _place(work, "peer", stack))
        ready.append(peer)
    return ready


def main(argv: list[str]) -> None:
    """Prints each line as it is known; records them only if everything asked for was measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks layers", description=__doc__)
    parser.add_argument(
        "--files", type=int, default=100_000, help="size of the base that is unpacked (default: 100000)"
    )
    parser.add_argument("--repeat", type=int, default=3, help="runs of each, in turns; the median counts (default: 3)")
    parser.add_argument("--only", action="append", choices=PARTS, help="repeatable (default: everything)")
    parser.add_argument("--directory", default=tempfile.gettempdir(), help="where trees and stores are put")
    parser.add_argument("--record", metavar="NAME", help="write results/layers-NAME.json")
    arguments = parser.parse_args(argv)
    if os.geteuid() != 0:
        sys.exit("benchmarks: the builders under measurement need root")
    rows = []
    for row in _rows(arguments):
        print(row, flush=True)
        rows.append(row)
    print(markdown(rows))
    if arguments.record:
        document = {
            "taken": datetime.now(UTC).strftime("%Y-%m-%d"),
            "machine": machine.describe(arguments.directory),
            "load": os.getloadavg()[2],
            "peers": {
                "buildah": machine.version("buildah", "--version"),
                "BuildKit (dockerd)": machine.version("dockerd", "--version"),
                "tar": machine.version("tar", "--version"),
            },
            "rows": [asdict(row) for row in rows],
        }
        with open(os.path.join(RESULTS, f"layers-{arguments.record}.json"), "w") as file:
            json.dump(document, file, indent=2)
            file.write("\n")
