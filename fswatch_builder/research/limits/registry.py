"""All experiments."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from fswatch_builder.errors import UsageError
from fswatch_builder.research.limits import (
    breakeven,
    clock,
    coalescing,
    double_walk,
    foreign,
    idle,
    latency,
    newdirs,
    overflow,
    queue_limit,
    reader,
    recovery,
    renames,
    reports,
    scan,
    shared,
    shares,
    watches,
)
from fswatch_builder.research.limits.experiment import Experiment

_MODULES = (
    watches,
    shared,
    overflow,
    queue_limit,
    reader,
    latency,
    coalescing,
    newdirs,
    renames,
    reports,
    clock,
    foreign,
    idle,
    recovery,
    scan,
    double_walk,
    shares,
    breakeven,
)


def experiments() -> Mapping[str, Experiment]:
    """By name."""
    return MappingProxyType({module.EXPERIMENT.name: module.EXPERIMENT for module in _MODULES})


def chosen(names: Iterable[str]) -> list[Experiment]:
    """By name. UsageError for one that is not there."""
    known = experiments()
    for name in names:
        if name not in known:
            raise UsageError(f"there is no experiment {name!r}", hint=f"known are {', '.join(known)}")
    return [known[name] for name in names]
