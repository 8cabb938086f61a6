"""What it costs to know again, after events were lost."""

import os
from collections.abc import Iterator, Sequence
from functools import partial

from fswatch_builder._native import Baseline, Rootfs
from fswatch_builder.research.corpora.registry import corpus
from fswatch_builder.research.limits.experiment import Column, Experiment, Figure, Laboratory, Point, Row, grid
from fswatch_builder.research.limits.finding_out import find_out
from fswatch_builder.research.machine import Machine
from fswatch_builder.research.strategies import strategies
from fswatch_builder.tracking.limits import watch_budget
from fswatch_builder.tracking.protocol import Session
from fswatch_builder.tracking.strategies.inotify import InotifySession

_FILES = 100


def _points(machine: Machine) -> Sequence[Point]:
    return _of((1_000, 10_000, 50_000), machine)


def _more(machine: Machine) -> Sequence[Point]:
    return _of((200_000, 1_000_000), machine)


def _of(sizes: Sequence[int], machine: Machine) -> list[Point]:
    # Two directories in nine entries.
    return grid(files=[size for size in sizes if size // 9 * 2 <= watch_budget(machine.watches)], lost=(False, True))


def _measure(laboratory: Laboratory, point: Point) -> Iterator[Row]:
    tree = os.path.join(laboratory.directory, "tree")
    corpus(f"wide-{point['files']}").make(tree)
    rootfs = Rootfs(os.fsencode(tree))
    baseline, _ = Baseline.record(rootfs)
    place = os.path.join(tree, "0000", "00")
    act = partial(_too_many, place, laboratory.machine.queued_events + 1) if point["lost"] else partial(_few, place)
    found = find_out(rootfs, baseline, strategies()["inotify"], act)
    yield {
        **point,
        "entries": len(baseline),
        "seconds": found.after_s,
        "looked_at": found.changes.stats,
        "losses": found.losses,
        "changes": len(found.changes),
    }


def _few(place: str, session: Session) -> None:
    """A hundred files."""
    del session
    for number in range(_FILES):
        os.close(os.open(f"{place}/new{number}", os.O_CREAT | os.O_WRONLY))


def _too_many(place: str, events: int, session: Session) -> None:
    """The same files, and more events than the queue takes, while nobody reads."""
    if not isinstance(session, InotifySession):
        raise TypeError(session.tracker)
    session.watches.pause()
    _few(place, session)
    for _ in range(events):
        path = f"{place}/passing"
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        os.unlink(path)
    session.watches.resume()


EXPERIMENT = Experiment(
    name="recovery",
    asks="What does a queue that overflowed cost, compared with one that did not?",
    method=(
        "A hundred files are made in a watched tree. With lost, the reader is held back and more events follow than"
        " the queue takes. Then the time to know what changed is taken: without a loss from events, with one by "
        "looking at the whole tree. Both find the same."
    ),
    columns=(
        Column("files", "", "files in the tree before"),
        Column("lost", "", "whether events were lost"),
        Column("entries", "", "entries in the tree before"),
        Column("seconds", "s", "from the last change to the list of changes"),
        Column("looked_at", "", "entries that were looked at"),
        Column("losses", "", "losses that were reported"),
        Column("changes", "", "changes found"),
    ),
    figures=(Figure("Time to know what changed", "line", "files", "seconds", "lost", log_x=True, log_y=True),),
    points=_points,
    more=_more,
    measure=_measure,
    repeat=3,
    takes=lambda point: int(point["files"] or 0) * corpus("wide-1").recipe.bytes_per_file,
)
