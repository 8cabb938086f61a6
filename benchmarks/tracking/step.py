"""One file is written; what it costs to find that out. The command itself is left out: it costs everybody the same."""

import os
from collections.abc import Iterator
from functools import partial

from benchmarks.row import Row, row, seconds, timed
from benchmarks.tracking.ground import Ground
from fswatch_builder._native import ChangeSet
from fswatch_builder.changes.widen import widen
from fswatch_builder.tracking.protocol import Session

WRITTEN = "data/0000/00/f0"
MOST_MS = 3
FULL_SCAN = "scan --hash all"
#: A step at any size costs what it costs at this one, give or take noise.
SMALL = 10_000
SAME = 1.25


def _find(ground: Ground, session: Session, hash_mode: str) -> ChangeSet:
    hints, _ = widen(session.settle())
    if hash_mode == "all":
        return ground.baseline.reconcile(ground.rootfs, hints, hash="all")
    return ground.baseline.reconcile(ground.rootfs, hints)


def measure_step(ground: Ground, repeat: int) -> dict[str, list[float]]:
    """Milliseconds of each step by tracker. All are armed together on one tree; the first step is left out."""
    sessions: dict[str, Session] = {}
    figures: dict[str, list[float]] = {}
    try:
        for name, tracker in ground.trackers().items():
            sessions[name], taken = timed(partial(tracker.arm, ground.rootfs, ground.baseline))
            figures[f"{name}: arm"] = [taken * 1000]
        sessions[FULL_SCAN] = sessions["scan"]
        for step in range(repeat + 1):
            for name, milliseconds in _one_step(ground, sessions, b"x" * (100 + step)).items():
                if step > 0:
                    figures.setdefault(name, []).append(milliseconds)
        return figures
    finally:
        for session in sessions.values():
            session.close()


def _one_step(ground: Ground, sessions: dict[str, Session], content: bytes) -> dict[str, float]:
    with open(os.path.join(ground.directory, WRITTEN), "wb") as file:
        file.write(content)
    taken = {}
    for name, session in sessions.items():
        changes, taken[name] = timed(partial(_find, ground, session, "all" if name == FULL_SCAN else "evidence"))
        found = [change.path for change in changes.changes]
        if found != [WRITTEN.encode()]:
            raise AssertionError(f"{name} found {found}")
    recorded = seconds(partial(ground.baseline.advance, changes))
    for name, session in sessions.items():
        taken[name] += recorded + seconds(partial(session.advance, ground.baseline, changes))
    return {name: value * 1000 for name, value in taken.items()}


def step_rows(by_files: dict[int, dict[str, list[float]]]) -> Iterator[Row]:
    """Against the hashing scan, and against the same tracker on a small tree."""
    for files, figures in by_files.items():
        for name, values in figures.items():
            if name.endswith(": arm"):
                yield row("arm", name.removesuffix(": arm"), files, values, "ms")
                continue
            exact = not name.startswith("scan")
            yield row("one-file step", name, files, values, "ms", most=MOST_MS if exact else None)
            if exact and files != SMALL and SMALL in by_files:
                small = by_files[SMALL][name]
                peer = f"itself at {SMALL:,}"
                yield row("one-file step", name, files, values, "ms", peer=peer, peer_values=small, most=SAME)
            if name != FULL_SCAN:
                full = figures[FULL_SCAN]
                # A thousand times cheaper is promised at a million files: the scan grows with the tree.
                most = 1000 / files if exact else None
                yield row("one-file step", name, files, values, "ms", peer=FULL_SCAN, peer_values=full, most=most)
