"""Loss by the length of the queue: the limit itself is set, so this is for a machine that can be thrown away."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from fswatch_builder.errors import BuildError
from fswatch_builder.research.limits import overflow
from fswatch_builder.research.limits.experiment import (
    Column,
    Experiment,
    Figure,
    Laboratory,
    Point,
    Row,
    grid,
)
from fswatch_builder.research.machine import Machine

_SETTING = "/proc/sys/fs/inotify/max_queued_events"


def _points(machine: Machine) -> Sequence[Point]:
    del machine
    return grid(queue_depth=(256, 1_024, 4_096), burst=(1_024, 4_097), interval_ms=(overflow.NEVER, 20, 5))


def _more(machine: Machine) -> Sequence[Point]:
    del machine
    return grid(queue_depth=(16_384, 65_536, 262_144), burst=(65_537, 262_145), interval_ms=(overflow.NEVER, 50, 20, 5))


def _measure(laboratory: Laboratory, point: Point) -> Iterator[Row]:
    events = int(point["queue_depth"] or 0)
    with _depth(events):
        row = overflow.burst(laboratory, point, events)
    yield row


@contextmanager
def _depth(events: int) -> Iterator[None]:
    """The limit is ``events`` meanwhile. An instance keeps the one it was made under (inotify_new_group())."""
    try:
        with open(_SETTING) as file:
            before = file.read()
        with open(_SETTING, "w") as file:
            file.write(str(events))
    except OSError as error:
        raise BuildError(f"cannot set {_SETTING}: {error.strerror}", hint="be root, in a virtual machine") from error
    try:
        yield
    finally:
        with open(_SETTING, "w") as file:
            file.write(before)


EXPERIMENT = Experiment(
    name="queue-limit",
    asks="How many events are lost, by the length that a queue may have?",
    method=(
        "As in overflow, with fs.inotify.max_queued_events set to the length before each burst, and set back after it. "
        "All that watch on this machine would feel it, so it is done where nobody else is: in a virtual machine."
    ),
    columns=(
        Column("queue_depth", "", "events that the queue takes"),
        *(column for column in overflow.EXPERIMENT.columns if column.name != "queue_depth"),
    ),
    figures=(
        Figure("Events lost by length of the queue", "line", "queue_depth", "lost_share", "burst", log_x=True),
        Figure("Probability of a loss", "line", "queue_depth", "overflowed", "interval_ms", log_x=True),
    ),
    points=_points,
    more=_more,
    measure=_measure,
    repeat=3,
    needs_root="it sets fs.inotify.max_queued_events",
    changes_host="it sets fs.inotify.max_queued_events, for everybody",
)
