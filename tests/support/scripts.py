"""A command of a test, as a Python script in a process of its own."""

import subprocess
import sys

from fswatch_builder._native import Rootfs


def run(rootfs: Rootfs, script: str, *, killed: bool = False) -> None:
    """Runs it in the tree; it has to succeed, or to be killed."""
    done = subprocess.run([sys.executable, "-c", script], cwd=rootfs.path, check=False)
    assert done.returncode == (-9 if killed else 0)
