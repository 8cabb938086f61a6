"""Runs one command of the host, as a shell would: with our terminal, standard streams and environment."""

import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CommandOutcome:
    """How a command ended."""

    exit_status: int
    """As a shell gives it: the code, or 128 + the signal; 127: no such command, 126: it cannot be executed."""
    links_made: int | None
    """No more hard links than this were made. None: nobody watched, or could."""
    survivors: int
    """Processes left behind by the command and waited for."""
    problem: str | None = None
    """Why the command could not be executed, for people."""


def run_command(argv: Sequence[bytes], *, cwd: bytes | None = None, witness: bool) -> CommandOutcome:
    """Runs it to its end. Ctrl-C is the command's: it reaches it from the terminal, and we wait."""
    del witness
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGQUIT)}
    try:
        code = subprocess.Popen(argv, cwd=cwd).wait()
    except FileNotFoundError:
        return CommandOutcome(127, None, 0, f"{os.fsdecode(argv[0])}: command not found")
    except OSError as error:
        return CommandOutcome(126, None, 0, f"{os.fsdecode(argv[0])}: {error.strerror}")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return CommandOutcome(128 - code if code < 0 else code, None, 0)
