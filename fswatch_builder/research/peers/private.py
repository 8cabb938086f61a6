"""A directory for builders, of which nothing is left: neither files nor mounts."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import psutil  # type: ignore[import-untyped]

from fswatch_builder._native import remove_tree


@contextmanager
def private_place(directory: str) -> Iterator[str]:
    """A new directory in ``directory``, gone at the end with all that is mounted in it, by who was killed."""
    home = os.path.realpath(tempfile.mkdtemp(dir=directory, prefix="fswatch-bench-"))
    try:
        yield home
    finally:
        mounted = [part.mountpoint for part in psutil.disk_partitions(all=True)]
        for place in sorted((one for one in mounted if one.startswith(f"{home}/")), reverse=True):
            subprocess.run(["umount", "--lazy", place], check=True, stdin=subprocess.DEVNULL)
        remove_tree(os.fsencode(home))
