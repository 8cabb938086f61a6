"""Runs a mutation on a tree, in processes of its own."""

import os
import subprocess
import sys

import pytest

from tests.conformance import mutations
from tests.conformance.tree import IMPOSSIBLE


def mutate(name: str, root: bytes) -> None:
    """Does it to the tree at ``root``; returns when all its processes are dead. Skips what is impossible here."""
    # Without site packages Python starts in half the time.
    command = [sys.executable, "-S", mutations.__file__, name]
    done = subprocess.run(command, cwd=os.fsdecode(root), capture_output=True, text=True, check=False)
    if done.returncode == IMPOSSIBLE:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
