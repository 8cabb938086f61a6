"""buildah, with a layer for every instruction, on its overlay driver, in a storage of its own."""

import os
import shutil
import subprocess
from collections.abc import Mapping

from fswatch_builder.research.machine import version_of
from fswatch_builder.research.peers.clocks import buildah_runs
from fswatch_builder.research.peers.measuring import Cost, PeerError, measure, said
from fswatch_builder.research.peers.peer import Built, Job

_OUT = "localhost/bench-out"


class Buildah:
    """``buildah build --layers --no-cache``; isolation chroot, the cheapest it has."""

    name = "buildah"
    has_daemon = False

    def missing(self) -> str | None:
        """See Peer."""
        return None if shutil.which("buildah") else "buildah is not on PATH"

    def version(self) -> str:
        """See Peer."""
        return version_of("buildah", "--version") or "not installed"

    def prepare(self, bases: Mapping[str, str], work: str) -> None:
        """See Peer."""
        self._log = os.path.join(work, "log")
        root, run = os.path.join(work, "root"), os.path.join(work, "run")
        self._buildah = ["buildah", "--root", root, "--runroot", run, "--storage-driver", "overlay"]
        for archive in bases.values():
            self._call("pull", "--quiet", f"docker-archive:{archive}")

    def build(self, job: Job) -> Built:
        """See Peer."""
        cost = self._build(job, "--no-cache")
        return Built(cost, buildah_runs(said(self._log)))

    def export(self, job: Job, output: str, *, fresh: bool) -> Cost:
        """See Peer."""
        built = self._build(job, *(["--no-cache"] if fresh else []))
        return built + measure([*self._buildah, "push", _OUT, f"oci-archive:{output}"], log=self._log)

    def _build(self, job: Job, *options: str) -> Cost:
        command = [*self._buildah, "build", "--isolation", "chroot", "--layers", "--pull-never", *options]
        command += [word for arg in job.build_args for word in ("--build-arg", arg)]
        command += [] if job.target is None else ["--target", job.target]
        return measure([*command, "-t", _OUT, "-f", job.dockerfile, job.context], log=self._log)

    def _call(self, *arguments: str) -> None:
        done = subprocess.run([*self._buildah, *arguments], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise PeerError(f"buildah {arguments[0]} ended with status {done.returncode}: {done.stderr.strip()}")

    def close(self) -> None:
        """What an interrupted build has mounted goes too."""
        self._call("rm", "--all")
        self._call("rmi", "--all", "--force")
