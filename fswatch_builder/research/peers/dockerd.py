"""BuildKit, inside a dockerd of our own: its own data, its own socket, no bridge, the firewall left alone."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping

from fswatch_builder.research.machine import version_of
from fswatch_builder.research.peers.clocks import buildkit_runs
from fswatch_builder.research.peers.daemon import Daemon, runtime_directory
from fswatch_builder.research.peers.measuring import Cost, PeerError, measure, said
from fswatch_builder.research.peers.peer import Built, Job

_OUT = "bench-out"
_OF_ITS_OWN = 22
"""The last major version of the client that builds by itself with BuildKit."""


def _can_build() -> bool:
    """A plug-in of the user's own does not count: nothing of the user's configuration does."""
    version = re.search(r"version (\d+)\.", version_of("docker", "--version") or "")
    if version is not None and int(version[1]) <= _OF_ITS_OWN:
        return True
    nobodys = {"PATH": os.environ.get("PATH", os.defpath), "HOME": os.devnull, "DOCKER_CONFIG": os.devnull}
    asked = subprocess.run(["docker", "buildx", "version"], env=nobodys, capture_output=True, check=False)
    return asked.returncode == 0


class BuildKitInDocker:
    """``DOCKER_BUILDKIT=1 docker build --no-cache``. Its peak memory is the client's: the daemon does the work."""

    name = "BuildKit (dockerd)"
    has_daemon = True

    def __init__(self) -> None:
        """Nothing is started yet."""
        self._daemon: Daemon | None = None

    def missing(self) -> str | None:
        """See Peer."""
        absent = [name for name in ("docker", "dockerd") if shutil.which(name) is None]
        if absent:
            return f"{' and '.join(absent)} not on PATH"
        return None if _can_build() else "this docker leaves building to its plug-in buildx, which is not installed"

    def version(self) -> str:
        """See Peer."""
        return version_of("dockerd", "--version") or "not installed"

    def prepare(self, bases: Mapping[str, str], work: str) -> None:
        """See Peer."""
        self._log = os.path.join(work, "log")
        runtime = runtime_directory()
        address = f"unix://{runtime}/sock"
        # Nothing of the user's configuration: neither contexts nor credentials.
        self._environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": work,
            "DOCKER_CONFIG": work,
            "DOCKER_HOST": address,
            "DOCKER_BUILDKIT": "1",
        }
        options = ["--iptables=false", "--ip6tables=false", "--bridge=none", "--ip-forward=false"]
        options += ["--config-file", f"{work}/daemon.json"]
        options += ["--data-root", f"{work}/data", "--exec-root", f"{runtime}/exec", "--pidfile", f"{work}/pid"]
        with open(f"{work}/daemon.json", "w") as file:
            file.write("{}\n")
        self._daemon = Daemon(["dockerd", *options, "-H", address], self._environment, work, runtime)
        self._daemon.wait_for(["docker", "version"])
        for archive in bases.values():
            self._call("load", "--quiet", "--input", archive)

    def build(self, job: Job) -> Built:
        """See Peer."""
        cost = self._build(job, "--no-cache")
        return Built(cost, buildkit_runs(said(self._log)))

    def export(self, job: Job, output: str, *, fresh: bool) -> Cost:
        """See Peer."""
        built = self._build(job, *(["--no-cache"] if fresh else []))
        return built + measure(["docker", "save", "-o", output, _OUT], env=self._environment, log=self._log)

    def _build(self, job: Job, *options: str) -> Cost:
        command = ["docker", "build", "--network", "host", "--progress", "plain", *options]
        command += [word for arg in job.build_args for word in ("--build-arg", arg)]
        command += [] if job.target is None else ["--target", job.target]
        command += ["-t", _OUT, "-f", job.dockerfile, job.context]
        return measure(command, env=self._environment, log=self._log)

    def _call(self, *arguments: str) -> None:
        command = ["docker", *arguments]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise PeerError(f"docker {arguments[0]} ended with status {done.returncode}: {done.stderr.strip()}")

    def close(self) -> None:
        """See Peer."""
        if self._daemon is not None:
            self._daemon.end()
            self._daemon = None
