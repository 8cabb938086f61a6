"""The builder of this repository, with one tracker and one way of hashing, in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from fswatch_builder.model.hash_mode import HashMode
from fswatch_builder.research.machine import own_version
from fswatch_builder.research.peers.measuring import Cost, PeerError, measure, said
from fswatch_builder.research.peers.own_log import environment, told
from fswatch_builder.research.peers.peer import Built, Job, Peer
from fswatch_builder.tracking.selection import AUTO

OURS = f"fswatch-builder {AUTO}"
"""What it is called where others are measured against it."""


class Ours:
    """``fswatch-builder build --no-cache``, with a store of its own."""

    has_daemon = False

    def __init__(self, tracker: str, hash_mode: HashMode = "evidence") -> None:
        """See ``build --tracker`` and ``--hash``."""
        self.tracker = tracker
        self.hash_mode = hash_mode

    @property
    def name(self) -> str:
        """See Peer."""
        return f"fswatch-builder {self.tracker}" + (f" --hash {self.hash_mode}" if self.hash_mode != "evidence" else "")

    def missing(self) -> str | None:
        """See Peer."""
        return None

    def version(self) -> str:
        """See Peer."""
        return own_version()

    def prepare(self, bases: Mapping[str, str], work: str) -> None:
        """See Peer. Each base is unpacked, too, and kept: the others' ``load`` does that."""
        self._log = os.path.join(work, "log")
        program, store = [sys.executable, "-m", "fswatch_builder"], ["--store", os.path.join(work, "store")]
        self._builder = [*program, "build", *store, "--tracker", self.tracker, "--hash", self.hash_mode]
        for number, (name, archive) in enumerate(bases.items()):
            _do([*program, "load", *store, "--input", archive])
            first = os.path.join(work, f"Dockerfile.first-{number}")
            with open(first, "w") as file:
                file.write(f"FROM {name}\nWORKDIR /unpacked\n")
            _do([*self.command(Job(work, first)), "--quiet"])

    def command(self, job: Job, *, fresh: bool = True) -> list[str]:
        """What is run for a build."""
        command = [*self._builder, *(["--no-cache"] if fresh else [])]
        command += [word for arg in job.build_args for word in ("--build-arg", arg)]
        command += [] if job.target is None else ["--target", job.target]
        return [*command, "-f", job.dockerfile, job.context]

    def build(self, job: Job) -> Built:
        """See Peer. What is done once, unpacking and arming, counts for no RUN."""
        cost = self._measured([*self.command(job), "--progress", "rawjson"])
        runs = (step.report.costs for step in told(said(self._log)).steps if step.is_run)
        return Built(cost, tuple(costs.again for costs in runs if costs is not None))

    def export(self, job: Job, output: str, *, fresh: bool) -> Cost:
        """See Peer."""
        return self._measured([*self.command(job, fresh=fresh), "-o", f"type=oci,dest={output}"])

    def _measured(self, command: list[str]) -> Cost:
        return measure(command, env=environment(os.environ), log=self._log)

    def close(self) -> None:
        """See Peer: nothing is left running."""


def _do(command: list[str]) -> None:
    done = subprocess.run(command, env=environment(os.environ), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PeerError(f"the base cannot be taken in: {done.stderr.strip()}")


def beside_ours(others: Sequence[Peer]) -> list[Peer]:
    """This builder, as it chooses by itself, and the others; nobody where there is no other to compare it with."""
    return [Ours(AUTO), *others] if others else []
