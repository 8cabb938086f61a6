"""A daemon of our own: in namespaces that end with it, so that nothing of it is left."""

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence

import psutil  # type: ignore[import-untyped]

from fswatch_builder._native import remove_tree
from fswatch_builder.research.peers.measuring import PeerError

_PATIENCE_S = 60
_INTERVAL_S = 0.2
_GRACE_S = 20


def runtime_directory() -> str:
    """A new directory for sockets, whose paths are 107 bytes at most (unix(7)): so not in one that a user may name."""
    return tempfile.mkdtemp(prefix="fswatch-", dir="/run")


class Daemon:
    """A process that serves until it is ended. What it mounts, only it and its children see; they end with it."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], work: str, runtime: str) -> None:
        """Starts it; what it prints goes to a file in ``work``. ``runtime`` goes when it ends."""
        self._argv = argv
        self._runtime = runtime
        self._environment = environment
        self._log = os.path.join(work, "daemon.log")
        # The first process of a PID namespace takes all others of it with it (pid_namespaces(7)).
        private = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"]
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [*private, *argv], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def wait_for(self, question: Sequence[str]) -> None:
        """Until a command that asks it succeeds. PeerError if it has ended, or does not answer in a minute."""
        for _ in range(round(_PATIENCE_S / _INTERVAL_S)):
            asked = subprocess.run(question, env=self._environment, capture_output=True, check=False)
            if asked.returncode == 0:
                return
            try:
                self._process.wait(_INTERVAL_S)
            except subprocess.TimeoutExpired:
                continue
            raise PeerError(f"{self._argv[0]} ended before it answered: {self._last_words()}")
        raise PeerError(f"{self._argv[0]} does not answer: {self._last_words()}")

    def end(self) -> None:
        """Ends it with all that it started, and waits for that. A second call does nothing."""
        if self._process.poll() is None:
            # unshare(1) itself is deaf to SIGTERM.
            for child in psutil.Process(self._process.pid).children():
                child.terminate()
            try:
                self._process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        if os.path.isdir(self._runtime):
            remove_tree(os.fsencode(self._runtime))

    def _last_words(self) -> str:
        with open(self._log, errors="replace") as file:
            return " ".join(line.strip() for line in file.readlines()[-3:])
