"""What figures were taken on: a figure without its machine says nothing."""

import os
import platform
import shutil
import subprocess

import psutil  # type: ignore[import-untyped]
from msgspec import Struct

from fswatch_builder.tracking.limits import read_limits

NOISY = 0.1
"""The share of the processors that others keep busy, from which a run is said to be noisy."""


class Machine(Struct, frozen=True):
    """Sizes are bytes. ``file_system`` is that of the trees. Limits are those of this process (inotify(7))."""

    processor: str
    cores: int
    memory: int
    kernel: str
    file_system: str
    python: str
    version: str
    watches: int
    queued_events: int
    is_root: bool


def describe(directory: str) -> Machine:
    """The machine, with the file system that ``directory`` lies in."""
    limits = read_limits()
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        memory=psutil.virtual_memory().total,
        # The rest of a release names who built it.
        kernel=platform.release().split("-")[0],
        file_system=file_system(directory),
        python=platform.python_version(),
        version=own_version(),
        watches=limits.watches,
        queued_events=limits.queued_events,
        is_root=os.geteuid() == 0,
    )


def file_system(directory: str) -> str:
    """The kind of file system that ``directory`` lies in, as mounts name it."""
    directory = os.path.realpath(directory)
    under = [part for part in psutil.disk_partitions(all=True) if _is_below(directory, part.mountpoint)]
    return max(under, key=lambda part: len(part.mountpoint)).fstype if under else "unknown"


class Background:
    """What others make of the processors, between one question and the next."""

    def __init__(self) -> None:
        self._before = self._now()

    def __call__(self) -> float:
        """The share of all processors that others kept busy since the last call: 0 to 1."""
        before, self._before = self._before, self._now()
        passed, busy, own = (now - then for now, then in zip(self._before, before, strict=True))
        # The clocks differ in grain.
        return min(1.0, max(0.0, (busy - own) / passed)) if passed > 0 else 0.0

    @staticmethod
    def _now() -> tuple[float, float, float]:
        times = psutil.cpu_times()
        idle = times.idle + times.iowait
        ours = os.times()
        return (
            sum(times[:8]),
            sum(times[:8]) - idle,
            ours.user + ours.system + ours.children_user + ours.children_system,
        )


def version_of(*argv: str) -> str | None:
    """First line a tool prints of its version; None if it is not on PATH."""
    if shutil.which(argv[0]) is None:
        return None
    said = subprocess.run(argv, capture_output=True, text=True, check=False)
    return ((said.stdout or said.stderr).strip().splitlines() or ["says nothing of its version"])[0]


def _is_below(path: str, mountpoint: str) -> bool:
    return path == mountpoint or path.startswith(mountpoint.rstrip("/") + "/")


def _processor() -> str:
    with open("/proc/cpuinfo") as table:
        return next((line.split(":", 1)[1].strip() for line in table if line.startswith("model name")), "unknown")


def own_version() -> str:
    """Of this package."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("fswatch-builder")
    except PackageNotFoundError:
        return "from a source tree"
