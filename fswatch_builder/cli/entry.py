"""The command's first instant. Until everything is imported there is nothing to clean up: Ctrl-C just ends it."""

import gc
import os
import signal
import sys
from typing import Final

#: Objects made before the collector looks for cycles (Python's own: 700). Importing makes many and no garbage: a
#: twentieth of the start of a command went into looking for it.
_COLLECT_AFTER: Final = 50_000


def main() -> None:
    """Runs the command line and exits."""
    gc.set_threshold(_COLLECT_AFTER)
    _open_streams()
    # Who starts us with Ctrl-C ignored (nohup, a shell's background job) means it.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # One who ignores the end of children passes that on, and the kernel would reap ours unasked (waitpid(2), NOTES).
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    from fswatch_builder.cli.app import main as run

    try:
        run()
    finally:
        # Or the interpreter's end would look for garbage in all that goes with the process: a tenth of a short command.
        gc.freeze()


def _open_streams() -> None:
    """A standard stream that is closed leads nowhere, rather than into the next file that gets its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            # The lowest free number; a command does not inherit it.
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                raise RuntimeError(f"{name} was closed, and its number is taken")
            setattr(sys, name, os.fdopen(null, "w" if number else "r", closefd=False))
