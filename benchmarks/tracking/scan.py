"""A scan that finds nothing: against the least that a scan has to do, and against tools that look for newer files."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator

from benchmarks.peers.compiled import compiled, own_clock
from benchmarks.row import Row, in_turns, row, seconds
from benchmarks.tracking.ground import Ground, everything

MOST_RATIO = 1.3


def scan_rows(ground: Ground, repeat: int) -> Iterator[Row]:
    """On one thread and on two. Tools that are not installed are left out."""
    reference = os.path.join(ground.work, "reference")
    with open(reference, "w"):
        pass
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    walk = compiled("walk", ground.work)

    def ours(threads: int) -> Callable[[], float]:
        def scan() -> None:
            changes = ground.baseline.reconcile(ground.rootfs, everything(), threads=threads)
            if len(changes) or changes.hashed_files:
                raise AssertionError(f"{len(changes)} changes, {changes.hashed_files} files read")

        return lambda: seconds(scan) * 1000

    def bare(threads: int) -> Callable[[], float]:
        return lambda: own_clock(walk, ground.directory, str(threads)) * 1000

    def tool(argv: list[str]) -> Callable[[], float]:
        return lambda: seconds(lambda: subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)) * 1000

    tools = {
        "find -newer": ["find", ground.directory, "-newer", reference],
        "bfs -newer": ["bfs", ground.directory, "-newer", reference],
        "fd --newer": ["fdfind", "--unrestricted", "--newer", now, ".", ground.directory],
    }
    tools = {name: argv for name, argv in tools.items() if shutil.which(argv[0])}
    runs = {"ours 1": ours(1), "bare 1": bare(1), "ours 2": ours(2), "bare 2": bare(2)}
    runs |= {name: tool(argv) for name, argv in tools.items()}
    figures = in_turns(runs, repeat)
    for threads in (1, 2):
        values, peers = figures[f"ours {threads}"], figures[f"bare {threads}"]
        subject = f"scan, {threads} thread{'s' if threads > 1 else ''}"
        peer = "readdir + statx in C"
        yield row("nothing changed", subject, ground.files, values, "ms", peer=peer, peer_values=peers, most=MOST_RATIO)
    for name in tools:
        values = figures["ours 2"]
        yield row(
            "nothing changed",
            "scan, 2 threads",
            ground.files,
            values,
            "ms",
            peer=name,
            peer_values=figures[name],
            most=1,
        )
