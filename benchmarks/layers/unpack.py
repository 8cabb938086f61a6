"""A base of many small files: how long until a RUN may start, the first time and when it was unpacked before."""

import json
import os
import subprocess
import time
from collections.abc import Iterator

from benchmarks.row import Row, in_turns, row, seconds
from fswatch_builder._native import Baseline, Rootfs, remove_tree, unpack_layer
from fswatch_builder.research.peers.ours import Ours
from fswatch_builder.research.peers.peer import BASE, Job
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
    peer = Ours("auto")
    peer.prepare({BASE: rootfs}, work)
    dockerfile = os.path.join(work, "Dockerfile.first")
    with open(dockerfile, "w") as file:
        file.write(f"FROM {BASE}\nRUN echo begun\n")
    figures = [_first_word(peer.command(Job(work, dockerfile))) * 1000 for _ in range(repeat + 1)][1:]
    yield row("base used before: first RUN starts after", peer.name, files, figures, "ms", most=MOST_FIRST_RUN_MS)


def _first_word(command: list[str]) -> float:
    started = time.perf_counter()
    begun = None
    with subprocess.Popen(
        [*command, "--progress", "rawjson"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as process:
        for line in process.stderr or ():
            if begun is None and json.loads(line)["event"] == "StepOutput":
                begun = time.perf_counter() - started
    if process.returncode or begun is None:
        raise AssertionError(f"the build ended with {process.returncode}")
    return begun
