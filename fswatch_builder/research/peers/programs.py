"""Programs of this machine, brought into a root file system with all that they are linked to."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator

from fswatch_builder.errors import BuildError

PLACE = "bin"
"""Where they are put: each builder looks there."""

#: A line of ldd(1): ``libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x...)``, or a path alone for the loader.
_LIBRARY = re.compile(r"(?:\S+ => )?(?P<path>/\S+) \(0x[0-9a-f]+\)")


def bring(names: Iterable[str], root: str) -> None:
    """Copies programs on PATH below ``root``, their libraries to where they are here. BuildError."""
    for name in sorted(set(names)):
        found = shutil.which(name)
        if found is None:
            raise BuildError(f"{name} is not on PATH")
        program = os.path.realpath(found)
        for source, target in ((program, f"/{PLACE}/{name}"), *((path, path) for path in _libraries(program))):
            _copy(source, root + target)


def _libraries(program: str) -> Iterator[str]:
    """None for one that is linked to nothing: ldd fails then, and says so."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False, env={"LC_ALL": "C"})
    for line in listed.stdout.splitlines():
        if "not found" in line:
            raise BuildError(f"{program} lacks a library: {line.strip()}")
        if (matched := _LIBRARY.fullmatch(line.strip())) is not None:
            yield matched["path"]


def _copy(source: str, target: str) -> None:
    if not os.path.lexists(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(source, target)
