"""What can be done here, told before anything is measured."""

import os
import shutil
from collections.abc import Iterable, Sequence

from fswatch_builder.errors import BuildError
from fswatch_builder.research.limits.experiment import Experiment, Point
from fswatch_builder.research.machine import Machine

_SPARE = 64 << 20
"""For what else is written meanwhile, bytes."""


def obstacle(experiment: Experiment, machine: Machine, *, may_change_host: bool) -> str | None:
    """Why it cannot be done here; None if it can."""
    missing = [program for program in experiment.programs if shutil.which(program) is None]
    if experiment.needs_root and not machine.is_root:
        return f"it needs root: {experiment.needs_root}"
    if experiment.changes_host and not may_change_host:
        return f"{experiment.changes_host}, and that has to be allowed with --change-host"
    if missing:
        return f"it needs {', '.join(missing)}, not found on PATH"
    if not experiment.points(machine):
        return "too few inotify watches are left here for its smallest tree (fs.inotify.max_user_watches)"
    return None


def points(experiment: Experiment, machine: Machine, *, full: bool) -> list[Point]:
    """All points of a run."""
    return [*experiment.points(machine), *(experiment.more(machine) if full else ())]


def check_room(directory: str, wanted: Iterable[tuple[Experiment, Sequence[Point]]]) -> None:
    """BuildError if ``directory`` has no room for one of the points."""
    status = os.statvfs(directory)
    free = status.f_bavail * status.f_frsize
    for experiment, of_it in wanted:
        needed = max((experiment.takes(point) for point in of_it), default=0) + _SPARE
        if needed > free:
            raise BuildError(
                f"{directory} has {free >> 20:,} MiB left, and experiment {experiment.name} takes {needed >> 20:,} MiB",
                hint="give a directory on a larger file system with --directory, or go without --full",
            )
