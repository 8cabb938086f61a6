"""Watching every directory: from the baseline's list, against a bare loop in C over a list of paths."""

import os
from collections.abc import Iterator

from benchmarks.peers.compiled import compiled, own_clock
from benchmarks.row import Row, in_turns, row, timed
from benchmarks.tracking.ground import Ground
from fswatch_builder.tracking.limits import watch_budget
from fswatch_builder.tracking.strategies.inotify import InotifyTracker

THREADS = "2"
MOST_SECONDS_PER_DIRECTORY = 0.3 / 100_000
MOST_RATIO = 1.25


def arming_rows(ground: Ground, repeat: int) -> Iterator[Row]:
    """Nothing if the user's limit leaves too few watches for this tree."""
    directories = ground.baseline.directories
    if directories > watch_budget(directories):
        return
    listing = os.path.join(ground.work, "directories")
    with open(listing, "wb") as file:
        file.writelines(parent + b"\0" for parent, _, _ in os.walk(os.fsencode(ground.directory)))
    loop = compiled("watch", ground.work)

    def arm() -> float:
        session, taken = timed(lambda: InotifyTracker().arm(ground.rootfs, ground.baseline))
        watched = session.watches.count
        session.close()
        if watched != directories:
            raise AssertionError(f"{watched} of {directories} directories are watched")
        return taken * 1000

    runs = {"ours": arm, "loop": lambda: own_clock(loop, listing, THREADS) * 1000}
    figures = in_turns(runs, repeat)
    most = MOST_SECONDS_PER_DIRECTORY * directories * 1000
    yield row("arming", "inotify", ground.files, figures["ours"], "ms", most=most)
    peer = f"inotify_add_watch in C, {THREADS} threads"
    yield row(
        "arming",
        "inotify",
        ground.files,
        figures["ours"],
        "ms",
        peer=peer,
        peer_values=figures["loop"],
        most=MOST_RATIO,
    )
