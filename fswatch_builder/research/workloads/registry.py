"""All made workloads."""

import shutil
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from fswatch_builder.errors import UsageError
from fswatch_builder.research.workloads.changing import CHANGING
from fswatch_builder.research.workloads.installing import INSTALLING
from fswatch_builder.research.workloads.making import MAKING
from fswatch_builder.research.workloads.workload import Workload


def workloads() -> Mapping[str, Workload]:
    """By name."""
    return MappingProxyType({workload.name: workload for workload in (*CHANGING, *MAKING, *INSTALLING)})


def chosen(names: Iterable[str]) -> list[Workload]:
    """By name. UsageError for one that is not there."""
    known = workloads()
    for name in names:
        if name not in known:
            raise UsageError(f"there is no workload {name!r}", hint=f"known are {', '.join(known)}")
    return [known[name] for name in names]


def usable(names: Iterable[str], *, by_name: bool) -> list[Workload]:
    """Those whose programs are there. UsageError if one was asked for ``by_name`` and they are not."""
    found = []
    for workload in chosen(names):
        missing = [program for program in workload.needs if shutil.which(program) is None]
        if not missing:
            found.append(workload)
        elif by_name:
            raise UsageError(f"workload {workload.name} needs {', '.join(missing)}, which is not on PATH")
    return found
