"""BuildKit alone: a buildkitd of our own, and buildctl."""

import os
import shutil
import tarfile
from collections.abc import Mapping

import msgspec

from fswatch_builder.research.machine import version_of
from fswatch_builder.research.peers.clocks import buildkit_runs
from fswatch_builder.research.peers.daemon import Daemon, runtime_directory
from fswatch_builder.research.peers.measuring import Cost, PeerError, measure, said
from fswatch_builder.research.peers.peer import Built, Job


class BuildKit:
    """``buildctl build --no-cache`` with the Dockerfile frontend that is built in. Its images stay in its cache."""

    name = "BuildKit"
    has_daemon = True

    def __init__(self) -> None:
        """Nothing is started yet."""
        self._daemon: Daemon | None = None

    def missing(self) -> str | None:
        """See Peer."""
        absent = [name for name in ("buildkitd", "buildctl", "runc") if shutil.which(name) is None]
        return f"{' and '.join(absent)} not on PATH" if absent else None

    def version(self) -> str:
        """See Peer."""
        return version_of("buildkitd", "--version") or "not installed"

    def prepare(self, bases: Mapping[str, str], work: str) -> None:
        """See Peer. The bases become named contexts, each a layout on disk: they are asked of no registry."""
        self._log = os.path.join(work, "log")
        self._environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": work}
        runtime = runtime_directory()
        self._address = f"unix://{runtime}/sock"
        self._bases: list[str] = []
        for number, (name, archive) in enumerate(bases.items()):
            layout = os.path.join(work, f"base-{number}")
            digest = _unpacked(archive, layout)
            self._bases += ["--oci-layout", f"base{number}={layout}"]
            self._bases += ["--opt", f"context:{name}=oci-layout://base{number}@{digest}"]
        config = os.path.join(work, "buildkitd.toml")
        with open(config, "w") as file:
            file.write("")
        options = ["--config", config, "--root", f"{work}/root", "--addr", self._address]
        options += ["--oci-worker=true", "--containerd-worker=false", "--oci-worker-net=host"]
        self._daemon = Daemon(["buildkitd", *options], self._environment, work, runtime)
        self._daemon.wait_for(["buildctl", "--addr", self._address, "debug", "workers"])

    def build(self, job: Job) -> Built:
        """See Peer. The layers are made: an image is exported, to no file."""
        cost = self._build(job, ["--no-cache"], "type=image,name=bench-out,push=false")
        return Built(cost, buildkit_runs(said(self._log)))

    def export(self, job: Job, output: str, *, fresh: bool) -> Cost:
        """See Peer."""
        return self._build(job, ["--no-cache"] if fresh else [], f"type=oci,dest={output}")

    def _build(self, job: Job, options: list[str], output: str) -> Cost:
        command = ["buildctl", "--addr", self._address, "build", "--progress", "plain", *options]
        command += ["--frontend", "dockerfile.v0", "--local", f"context={job.context}"]
        command += ["--local", f"dockerfile={os.path.dirname(job.dockerfile)}"]
        command += ["--opt", f"filename={os.path.basename(job.dockerfile)}"]
        command += [word for arg in job.build_args for word in ("--opt", f"build-arg:{arg}")]
        command += [] if job.target is None else ["--opt", f"target={job.target}"]
        return measure([*command, *self._bases, "--output", output], env=self._environment, log=self._log)

    def close(self) -> None:
        """See Peer."""
        if self._daemon is not None:
            self._daemon.end()
            self._daemon = None


def _unpacked(archive: str, layout: str) -> str:
    """The digest of the one image of an archive that is a layout too, which is unpacked."""
    os.mkdir(layout)
    with tarfile.open(archive) as tar:
        tar.extractall(layout, filter="data")
    with open(os.path.join(layout, "index.json"), "rb") as file:
        index = msgspec.json.decode(file.read())
    try:
        digest: str = index["manifests"][0]["digest"]
    except (KeyError, IndexError) as error:
        raise PeerError(f"{archive} holds no image") from error
    return digest
