"""Commands in a memory cgroup of their own, where this machine lets us make one."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class MemoryGroup:
    """A cgroup, of the first or the second version, that ends what takes more than its limit."""

    directory: Path

    def run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        enter = ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(self.directory)]
        return subprocess.run([*enter, *command], capture_output=True, text=True, check=False, timeout=300)


@contextmanager
def memory_group(limit: int) -> Iterator[MemoryGroup | None]:
    """Gone at the end. None where no cgroup with a limit (bytes) can be made."""
    made = _make(limit)
    try:
        yield made
    finally:
        if made is not None:
            made.directory.rmdir()


def _make(limit: int) -> MemoryGroup | None:
    for parent, setting in _hierarchies():
        directory = parent / f"fswatch-builder-test-{os.getpid()}"
        try:
            directory.mkdir()
        except OSError:
            continue
        try:
            (directory / setting).write_text(str(limit))
        except OSError:
            directory.rmdir()
            continue
        return MemoryGroup(directory)
    return None


def _hierarchies() -> Iterator[tuple[Path, str]]:
    """Where a group below our own would be, and the file of its limit (cgroups(7), /proc/PID/cgroup)."""
    own = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        point, kind, options = Path(fields.split()[4]), rest.split()[0], rest.split()[2].split(",")
        for number, controllers, path in own:
            if kind == "cgroup" and "memory" in options and "memory" in controllers.split(","):
                yield point / path.lstrip("/"), "memory.limit_in_bytes"
            if kind == "cgroup2" and number == "0":
                yield point / path.lstrip("/"), "memory.max"
