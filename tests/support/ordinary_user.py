"""A user who is not root."""

import os
import subprocess
import sys
from pathlib import Path

NOBODY = 54321
#: A user without rights over anything, but for reading: the interpreter may lie in root's home.
_BECOME = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
_MAY_READ = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search"]


def as_user(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as that user, whose home is ``home``."""
    return python_as_user(home, "-m", "fswatch_builder", *arguments)


def python_as_user(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The interpreter as that user, whose home is ``home``."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "FSWATCH_"))}
    return subprocess.run(
        [*_BECOME, *_MAY_READ, sys.executable, *arguments],
        env={**env, "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
