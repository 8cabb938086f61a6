"""Ways to find out what a command changed: the trackers, and what other builders do.

A strategy that compares less than everything is the product of a tracker that looks everywhere and a list of what it
looks at. It costs what it costs to look, and misses what it does not look at: both are measured.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from msgspec import Struct

from fswatch_builder._native import Change, ChangeSet
from fswatch_builder.errors import UsageError
from fswatch_builder.model.hash_mode import HashMode
from fswatch_builder.tracking.protocol import Tracker
from fswatch_builder.tracking.registry import trackers

UNWATCHED = "unwatched"
"""The command with nobody watching and nothing looked for: what all are measured against."""


class Strategy(Struct, frozen=True):
    """``compares`` lists the differences that count, of those in ``Change.why``; None: all. ``name`` is unique."""

    name: str
    tracker: str
    reads: HashMode
    compares: frozenset[str] | None
    means: str

    @property
    def is_exact(self) -> bool:
        """Whether it promises to miss nothing. What it does is measured."""
        return self.compares is None and self.reads != "none"

    @property
    def watches(self) -> bool:
        """Whether it goes by what the kernel reports rather than look everywhere."""
        return self.tracker != "scan"

    def seen(self, changes: ChangeSet) -> list[Change]:
        """Those of ``changes`` that it would tell."""
        if self.compares is None:
            return changes.changes
        return [change for change in changes.changes if change.kind != "modified" or change.why & self.compares]

    def method(self) -> Tracker:
        """Its tracker."""
        return trackers()[self.tracker]


_TIME = frozenset({"mtime"})
_METADATA = frozenset({"mtime", "mode", "uid", "gid", "content"})

_ALL = (
    Strategy("fanotify", "fanotify", "evidence", None, "one mark on the file system says where to look"),
    Strategy("inotify", "inotify", "evidence", None, "a watch on each directory says where to look"),
    Strategy("overlay", "overlay", "evidence", None, "the upper directory of an overlay says where to look"),
    Strategy("scan", "scan", "evidence", None, "looks at every entry, reads what its metadata leaves open"),
    Strategy("scan-hash", "scan", "all", None, "looks at every entry and reads every file: kaniko's mode full"),
    Strategy("scan-meta", "scan", "none", _METADATA, "time, size, mode and owner of every entry: kaniko's mode redo"),
    Strategy("scan-time", "scan", "none", _TIME, "the time of every entry alone: kaniko's mode time"),
)


def strategies() -> Mapping[str, Strategy]:
    """All there are, by name: those that watch first, then from the cautious scan to the hasty one.

    A tracker that was added has a strategy of its own name.
    """
    known = {strategy.name: strategy for strategy in _ALL}
    added = [
        Strategy(name, name, "evidence", None, f"the {name} tracker")
        for name in trackers()
        if name not in {strategy.tracker for strategy in _ALL}
    ]
    return MappingProxyType({**{strategy.name: strategy for strategy in added}, **known})


def chosen(names: Sequence[str], among: Mapping[str, Strategy]) -> list[Strategy]:
    """By name. UsageError for one that is not there."""
    for name in names:
        if name not in among:
            raise UsageError(f"there is no strategy {name!r}", hint=f"known are {', '.join(among)}")
    return [among[name] for name in names]
