"""Programs of this host with what they need to run in a root file system that has none of it."""

import shutil
import subprocess
from pathlib import Path


def copy_program(program: str, root: Path) -> None:
    """Copies a program, its libraries and its loader to their own paths below ``root``."""
    path = shutil.which(program)
    assert path is not None, program
    listed = subprocess.run(["ldd", path], check=True, capture_output=True, text=True).stdout
    words = [word for line in listed.splitlines() for word in line.split()]
    for needed in {path, *(word for word in words if word.startswith("/"))}:
        target = root / needed.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(needed, target)
