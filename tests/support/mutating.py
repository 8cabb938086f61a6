"""Runs a mutation on a tree, in processes of its own."""

import os
import re
import subprocess
import sys
import tempfile

import pytest

from tests.conformance import mutations
from tests.conformance.tree import IMPOSSIBLE


def attempt(name: str, root: bytes) -> subprocess.CompletedProcess[str]:
    """As ``mutate``, whatever comes of it."""
    # Without site packages Python starts in half the time.
    command = [sys.executable, "-S", mutations.__file__, name]
    detached = re.fullmatch(rb"/proc/self/fd/([0-9]+)", root)
    if detached is None:
        return subprocess.run(command, cwd=os.fsdecode(root), capture_output=True, text=True, check=False)
    # What is mounted nowhere has no path, and nothing can be mounted in it: as a RUN, it shall see it mounted.
    with tempfile.TemporaryDirectory() as directory:
        command += [detached[1].decode(), directory]
        return subprocess.run(command, pass_fds=[int(detached[1])], capture_output=True, text=True, check=False)


def mutate(name: str, root: bytes) -> None:
    """Does it to the tree at ``root``; returns when all its processes are dead. Skips what is impossible here."""
    done = attempt(name, root)
    if done.returncode == IMPOSSIBLE:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
