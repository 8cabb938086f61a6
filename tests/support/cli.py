"""The command as a user types it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import TypedDict

#: What a user's shell would hand down; everything else would hide what a fresh machine shows.
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV")


class Running(TypedDict, total=False):
    """How the command runs, for those who hand it on to :func:`fswatch_builder`."""

    check: bool
    env: Mapping[str, str] | None
    cwd: str | None
    stdin: str


def fswatch_builder(
    *arguments: str, check: bool = True, env: Mapping[str, str] | None = None, cwd: str | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Runs it to its end. With ``check``, a status other than 0 is an assertion that shows what it printed."""
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | dict(env or {})
    done = subprocess.run(
        [sys.executable, "-m", "fswatch_builder", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        env=environment,
        cwd=cwd,
        check=False,
    )
    if check:
        assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done
