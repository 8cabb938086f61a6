"""kaniko's executor, which builds in its own root directory: so it gets one, by chroot in a mount namespace."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping

from fswatch_builder._native import remove_tree
from fswatch_builder.research.machine import version_of
from fswatch_builder.research.peers.apart import Apart
from fswatch_builder.research.peers.clocks import kaniko_runs
from fswatch_builder.research.peers.measuring import Cost, PeerError, measure, said
from fswatch_builder.research.peers.peer import Built, Job

PROGRAMS = ("kaniko", "kaniko-executor")
"""What it may be called on PATH: ``executor``, as its image has it, could be anybody's."""

_GRACE_S = 10

#: $0 is the root, $1 the context. What it mounts ends with its namespace.
_ENTER = """
mount -t proc proc "$0/proc"
mount --rbind /dev "$0/dev"
mount --bind -o ro "$1" "$0/workspace"
shift
exec chroot "$0" "$@"
"""


class Kaniko:
    """``executor --no-push`` in one snapshot mode: ``full`` hashes every file, ``redo`` compares times and sizes."""

    has_daemon = False

    def __init__(self, mode: str, program: str | None = None) -> None:
        """``program``: its path, if it is not to be looked for on PATH."""
        self.mode = mode
        self._program = program
        self._registry: Apart | None = None

    @property
    def name(self) -> str:
        """See Peer."""
        return f"kaniko {self.mode}"

    def _executor(self) -> str | None:
        return self._program or next((path for name in PROGRAMS if (path := shutil.which(name)) is not None), None)

    def missing(self) -> str | None:
        """See Peer."""
        if self._executor() is None:
            return f"neither {' nor '.join(PROGRAMS)} is on PATH"
        absent = [tool for tool in ("docker-registry", "skopeo", "unshare", "chroot") if shutil.which(tool) is None]
        return f"it needs {' and '.join(absent)}, not on PATH" if absent else None

    def version(self) -> str:
        """See Peer."""
        program = self._executor()
        said = None if program is None else version_of(program, "version")
        return (said or "not installed").removeprefix("Kaniko version :").strip()

    def prepare(self, bases: Mapping[str, str], work: str) -> None:
        """See Peer. It takes bases from registries alone: so there is one, on a port of the loopback."""
        self._work = work
        self._log = os.path.join(work, "log")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._address = f"127.0.0.1:{probe.getsockname()[1]}"
        config = os.path.join(work, "registry.yml")
        with open(config, "w") as file:
            file.write(
                "version: 0.1\nlog: {level: error}\n"
                f"storage: {{filesystem: {{rootdirectory: {work}/registry}}}}\n"
                f"http: {{addr: {self._address}}}\n"
            )
        self._registry = Apart(["docker-registry", "serve", config], os.devnull)
        for name, archive in bases.items():
            copy = ["skopeo", "copy", "--retry-times", "10", "--dest-tls-verify=false"]
            command = [*copy, f"docker-archive:{archive}", f"docker://{self._there(name)}"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise PeerError(f"the base cannot be brought to kaniko's registry: {done.stderr.strip()}")
        self._bases = tuple(bases)

    def _there(self, name: str) -> str:
        return f"{self._address}/{name.partition('/')[2]}"

    def build(self, job: Job) -> Built:
        """See Peer. Its image goes nowhere: it has no place for one."""
        cost = self._build(job, "--no-push")
        return Built(cost, kaniko_runs(said(self._log)))

    def export(self, job: Job, output: str, *, fresh: bool) -> Cost:
        """See Peer. Always fresh: what it calls a cache is a registry."""
        del fresh
        cost = self._build(job, "--no-push", "--destination=localhost/bench-out:latest", "--tar-path=/kaniko/out.tar")
        shutil.move(os.path.join(self._root, "kaniko/out.tar"), output)
        return cost

    @property
    def _root(self) -> str:
        return os.path.join(self._work, "kaniko-root")

    def _build(self, job: Job, *options: str) -> Cost:
        self._make_root(job)
        private = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]
        command = [*private, "sh", "-euc", _ENTER, self._root, job.context, "/kaniko/executor", "--force"]
        command += ["--insecure", "--insecure-pull", "--log-timestamp=false", "--log-format=text"]
        command += ["--context=dir:///workspace", "--dockerfile=/kaniko/Dockerfile", f"--snapshot-mode={self.mode}"]
        command += [f"--build-arg={arg}" for arg in job.build_args]
        command += [] if job.target is None else [f"--target={job.target}"]
        environment = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/root", "container": "kube"}
        return measure([*command, *options], env=environment, log=self._log)

    def _make_root(self, job: Job) -> None:
        """It unpacks the base over its own root directory and leaves it there: every build gets a fresh one."""
        program = self._executor()
        if program is None:
            raise PeerError("kaniko is not there")
        if os.path.lexists(self._root):
            remove_tree(os.fsencode(self._root))
        for name in ("kaniko", "workspace", "proc", "dev", "etc"):
            os.makedirs(os.path.join(self._root, name))
        shutil.copy2(program, os.path.join(self._root, "kaniko/executor"))
        with open(job.dockerfile) as source:
            text = source.read()
        # The longest first: one may begin as another does.
        for base in sorted(self._bases, key=len, reverse=True):
            text = text.replace(base, self._there(base))
        with open(os.path.join(self._root, "kaniko/Dockerfile"), "w") as target:
            target.write(text)
        with open(os.path.join(self._root, "etc/passwd"), "w") as file:
            file.write("root:x:0:0:root:/root:/bin/sh\n")

    def close(self) -> None:
        """See Peer."""
        if self._registry is not None:
            self._registry.end(signal.SIGTERM, _GRACE_S)
            self._registry = None
