"""A base of many small files: how long until a RUN may start, the first time and when it was unpacked before."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.row import Row, in_turns, row, seconds
from fswatch_builder._native import Baseline, Rootfs, remove_tree, unpack_layer
from fswatch_builder.research.peers.own_log import environment
from fswatch_builder.tracking.selection import select

MOST_RATIO = 1.3
MOST_FIRST_RUN_MS = 100


def unpack_rows(archive: str, files: int, work: str, repeat: int) -> Iterator[Row]:
    """Unpacked, recorded and watched, against GNU tar that only unpacks."""

    def ours() -> float:
        place = os.path.join(work, "ours")
        os.mkdir(place)
        with open(archive, "rb") as tar:
            rootfs = Rootfs(os.fsencode(place))
            baseline = Baseline.empty(rootfs)
            started = time.perf_counter()
            unpack_layer(rootfs, baseline, tar.fileno())
            session = select("auto", rootfs, baseline).tracker.arm(rootfs, baseline)
            taken = time.perf_counter() - started
        session.close()
        remove_tree(os.fsencode(place))
        return taken

    def theirs() -> float:
        place = os.path.join(work, "theirs")
        os.mkdir(place)
        taken = seconds(lambda: subprocess.run(["tar", "-xpf", archive, "-C", place], check=True))
        remove_tree(os.fsencode(place))
        return taken

    figures = in_turns({"ours": ours, "tar -x": theirs}, repeat)
    yield row(
        "unpack, record and watch a base",
        "auto",
        files,
        figures["ours"],
        "s",
        peer="tar -x",
        peer_values=figures["tar -x"],
        most=MOST_RATIO,
    )


def first_run_rows(rootfs: str, files: int, work: str, repeat: int) -> Iterator[Row]:
    """From the start of the command to the first word of its first RUN, the base having been used before."""
    store = os.path.join(work, "store")
    builder = [sys.executable, "-m", "fswatch_builder", "build", "--store", store]

    def command(name: str, lines: str, *options: str) -> list[str]:
        dockerfile = os.path.join(work, name)
        with open(dockerfile, "w") as file:
            file.write(lines)
        return [*builder, *options, "-f", dockerfile, work]

    # An image of the store, as the bases of others are: a directory would be looked through for changes each time.
    named = command("base", "FROM rootfs\nLABEL a=b\n", "-t", "bench-base", "--build-context", f"rootfs={rootfs}")
    subprocess.run([*named, "--quiet"], check=True, stdout=subprocess.DEVNULL)
    first = command("first", "FROM bench-base\nRUN echo begun\n", "--no-cache")
    figures = [_first_word(first) * 1000 for _ in range(repeat + 1)][1:]
    what = "base used before: first RUN starts after"
    yield row(what, "fswatch-builder auto", files, figures, "ms", most=MOST_FIRST_RUN_MS)


def _first_word(command: list[str]) -> float:
    started = time.perf_counter()
    begun = None
    with subprocess.Popen(
        [*command, "--progress", "rawjson"],
        env=environment(os.environ),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    ) as process:
        for line in process.stderr or ():
            if begun is None and json.loads(line)["event"] == "StepOutput":
                begun = time.perf_counter() - started
    if process.returncode or begun is None:
        raise AssertionError(f"the build ended with {process.returncode}")
    return begun
