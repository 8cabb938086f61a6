"""A daemon of our own: in namespaces that end with it, so that nothing of it is left."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence

from fswatch_builder._native import remove_tree
from fswatch_builder.research.peers.apart import Apart
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
        self._process = Apart([*private, *argv], self._log, environment)

    def wait_for(self, question: Sequence[str]) -> None:
        """Until a command that asks it succeeds. PeerError if it has ended, or does not answer in a minute."""
        for _ in range(round(_PATIENCE_S / _INTERVAL_S)):
            asked = subprocess.run(question, env=self._environment, capture_output=True, check=False)
            if asked.returncode == 0:
                return
            if self._process.has_ended(_INTERVAL_S):
                raise PeerError(f"{self._argv[0]} ended before it answered: {self._last_words()}")
        raise PeerError(f"{self._argv[0]} does not answer: {self._last_words()}")

    def end(self) -> None:
        """Ends it with all that it started, and waits for that. A second call does nothing."""
        for child in self._process.children():  # unshare(1) itself is deaf to SIGTERM
            child.terminate()
        if not self._process.has_ended(_GRACE_S):
            self._process.send(signal.SIGKILL)
        self._process.end(signal.SIGTERM, _GRACE_S)
        if os.path.isdir(self._runtime):
            remove_tree(os.fsencode(self._runtime))

    def _last_words(self) -> str:
        with open(self._log, errors="replace") as file:
            return " ".join(line.strip() for line in file.readlines()[-3:])
