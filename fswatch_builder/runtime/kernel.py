"""The system calls that a build cannot do without: asked for by calling them, never guessed from a version."""

import errno
import os
from collections.abc import Sequence

from fswatch_builder._native import RefusedCall, refused_calls
from fswatch_builder.errors import SandboxError

LEAST = "5.12"
"""The first Linux that has all of them. Which are tested: docs/cli.md."""


def check_files() -> None:
    """Returns if files can be reached beneath a root here, which every build does; else raises a `SandboxError`."""
    _check(refused_calls(for_run=False))


def check_run() -> None:
    """Returns if the kernel can isolate a RUN; else raises a `SandboxError`. To be asked with CAP_SYS_ADMIN only."""
    _check(refused_calls(for_run=True))


def _check(refused: Sequence[RefusedCall]) -> None:
    hidden = [call for call in refused if call.errno != errno.ENOSYS]
    if hidden:
        raise SandboxError(
            f"a system call is refused that a build needs: {_listed(hidden)}",
            hint="that is a seccomp profile's doing: update the container engine, or start the container with"
            " --security-opt seccomp=unconfined",
        )
    if refused:
        raise SandboxError(
            f"this kernel ({os.uname().release}) does not have what a build needs: {_listed(refused)}",
            hint=f"Linux {LEAST} or newer is needed. If it is one, a seccomp profile hides the call: update the"
            " container engine, or start the container with --security-opt seccomp=unconfined",
        )


def _listed(calls: Sequence[RefusedCall]) -> str:
    return ", ".join(f"{call.name} (Linux {call.since})" for call in calls)
