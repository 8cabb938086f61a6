"""Whether there is enough of everything, told before anything is measured."""

import os

from fswatch_builder.errors import BuildError, TrackingError
from fswatch_builder.research.bench.ground import Ground
from fswatch_builder.research.corpora.recipe import Corpus
from fswatch_builder.research.strategies import Strategy
from fswatch_builder.tracking.limits import watch_budget

COPIES = 2
_SPARE = 64 << 20
"""For what commands write, bytes."""


def check_disk(directory: str, needed: int, what: str) -> None:
    """BuildError if ``directory`` has no room for two copies of so many bytes."""
    status = os.statvfs(directory)
    free = status.f_bavail * status.f_frsize
    wanted = COPIES * needed + _SPARE
    if free < wanted:
        raise BuildError(
            f"{directory} has {_mib(free)} left, and two copies of {what} take {_mib(wanted)}",
            hint="give a directory on a larger file system with --directory, or measure a smaller tree",
        )


def bytes_of(corpus: Corpus) -> int:
    """About what one copy takes."""
    return corpus.files * corpus.recipe.bytes_per_file


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


def _mib(count: int) -> str:
    return f"{count / (1 << 20):,.0f} MiB"
