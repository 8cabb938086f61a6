"""Ctrl-C before anything has begun."""

import signal
import subprocess
import sys

INTERRUPTED_WHILE_IMPORTING = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "fswatch_builder.cli.app":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
sys.argv = ["fswatch-builder", "--version"]
from fswatch_builder.cli.entry import main
main()
"""


def start(ignored: bool) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", INTERRUPTED_WHILE_IMPORTING],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=(lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) if ignored else None,
    )


def test_ctrl_c_while_importing_shows_no_traceback() -> None:
    done = start(ignored=False)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


def test_ctrl_c_that_is_ignored_stays_ignored() -> None:
    done = start(ignored=True)
    assert done.returncode == 0
    assert done.stdout.startswith("fswatch-builder ")
