"""Whether there is enough of everything, told before anything is measured."""

import os

from fswatch_builder.errors import BuildError, TrackingError
from fswatch_builder.model.quantity import size_text
from fswatch_builder.research.bench.ground import Ground
from fswatch_builder.research.strategies import Strategy
from fswatch_builder.tracking.limits import watch_budget

COPIES = 2
_SPARE = 64 << 20
"""For what commands write, bytes."""


def check_disk(directory: str, needed: int, what: str) -> None:
    """BuildError if ``directory`` has no room for two copies of so many bytes."""
    wanted = COPIES * needed + _SPARE
    if (free := _free(directory)) < wanted:
        raise BuildError(
            f"{directory} has {size_text(free)} left, and two copies of {what} take {size_text(wanted)}",
            hint="give a directory on a larger file system with --directory, or measure a smaller tree",
        )


def check_room(directory: str, needed: int) -> None:
    """BuildError if ``directory`` has no room for builds that take so many bytes."""
    wanted = needed + _SPARE
    if (free := _free(directory)) < wanted:
        raise BuildError(
            f"{directory} has {size_text(free)} left, and the builds take {size_text(wanted)}",
            hint="give a directory on a larger file system with --directory",
        )


def _free(directory: str) -> int:
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


def bytes_below(directory: str) -> int:
    """What a copy of a tree takes; a file with several names once."""
    total, seen = 0, set()
    for parent, _, names in os.walk(directory):
        for name in (".", *names):
            status = os.lstat(os.path.join(parent, name))
            if status.st_nlink == 1 or (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                total += status.st_blocks * 512
    return total


def check_strategy(strategy: Strategy, ground: Ground) -> None:
    """TrackingError if one that was asked for by name cannot work here as it should."""
    capability = strategy.method().probe(ground.rootfs)
    if not capability.usable:
        raise TrackingError(f"strategy {strategy.name} cannot be measured here: {capability.reason}")
    directories = ground.baseline.directories
    if strategy.tracker == "inotify" and watch_budget(directories) < directories:
        raise TrackingError(
            f"strategy {strategy.name} needs {directories:,} watches, and {watch_budget(directories):,} are to be had",
            hint="raise fs.inotify.max_user_watches, or measure a smaller tree",
        )


def usable(strategy: Strategy, ground: Ground) -> str | None:
    """Why a strategy that nobody asked for is left out; None if it works here."""
    capability = strategy.method().probe(ground.rootfs)
    return None if capability.usable else capability.reason
