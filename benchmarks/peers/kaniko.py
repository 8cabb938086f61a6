"""kaniko's executor, which builds in its own root directory: so it gets one, by chroot in a mount namespace."""

import os
import shutil
import socket
import subprocess

from benchmarks.measure import Cost, measure
from benchmarks.peers.image import docker_archive

MODULE = "github.com/GoogleContainerTools/kaniko"
VERSION = "v1.23.2"


def executor(cache: str) -> str:
    """Its path, built from the Go module proxy if it is not there yet (minutes, once)."""
    path = os.path.join(cache, f"kaniko-{VERSION}")
    if not os.path.exists(path):
        source = os.path.join(cache, "kaniko-build")
        os.makedirs(source, exist_ok=True)
        with open(os.path.join(source, "go.mod"), "w") as file:
            file.write(f"module bench\n\ngo 1.23\n\nrequire {MODULE} {VERSION}\n")
        with open(os.path.join(source, "tools.go"), "w") as file:
            file.write(f'//go:build tools\n\npackage tools\n\nimport _ "{MODULE}/cmd/executor"\n')
        command = ["go", "build", "-mod=mod", "-o", path, f"{MODULE}/cmd/executor"]
        subprocess.run(command, cwd=source, env={**os.environ, "CGO_ENABLED": "0"}, check=True)
    return path


class Kaniko:
    """``executor --no-push`` in one snapshot mode: ``full`` hashes every file, ``redo`` compares times and sizes."""

    def __init__(self, mode: str, cache: str) -> None:
        self.mode = mode
        self.name = f"kaniko {mode}"
        self._cache = cache
        self._registry: subprocess.Popen[bytes] | None = None

    def missing(self) -> str | None:
        absent = [tool for tool in ("go", "docker-registry", "skopeo", "unshare") if shutil.which(tool) is None]
        return f"not installed: {', '.join(absent)}" if absent else None

    def prepare(self, rootfs: str, archive: str, work: str) -> None:  # noqa: ARG002 - peers differ in what they need
        self._work = os.path.join(work, f"kaniko-{self.mode}")
        os.makedirs(self._work)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        config = os.path.join(self._work, "registry.yml")
        with open(config, "w") as file:
            file.write(
                "version: 0.1\nlog: {level: error}\n"
                f"storage: {{filesystem: {{rootdirectory: {self._work}/registry}}}}\n"
                f"http: {{addr: 127.0.0.1:{self._port}}}\n"
            )
        self._registry = subprocess.Popen(
            ["docker-registry", "serve", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        layout = os.path.join(self._work, "base.tar")
        docker_archive(archive, layout, "bench-base:latest")
        target = f"docker://127.0.0.1:{self._port}/bench-base:latest"
        copy = ["skopeo", "copy", "--retry-times", "10", "--dest-tls-verify=false", f"docker-archive:{layout}", target]
        subprocess.run(copy, check=True, stdout=subprocess.DEVNULL)

    def build(self, dockerfile: str) -> Cost:
        # It unpacks the base over its own root directory and leaves it there: every build gets a fresh one.
        root = os.path.join(self._work, "root")
        shutil.rmtree(root, ignore_errors=True)
        for name in ("kaniko", "workspace", "proc", "dev", "etc"):
            os.makedirs(os.path.join(root, name))
        shutil.copy2(executor(self._cache), os.path.join(root, "kaniko/executor"))
        with open(dockerfile) as source, open(os.path.join(root, "workspace/Dockerfile"), "w") as target:
            target.write(source.read().replace("FROM bench-base", f"FROM 127.0.0.1:{self._port}/bench-base"))
        with open(os.path.join(root, "etc/passwd"), "w") as file:
            file.write("root:x:0:0:root:/root:/bin/sh\n")
        enter = 'mount -t proc proc "$0/proc"; mount --rbind /dev "$0/dev"; exec chroot "$0" "$@"'
        command = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "sh", "-c", enter, root]
        run = [
            "/kaniko/executor",
            "--force",
            "--no-push",
            "--insecure",
            "--insecure-pull",
            "--context=dir:///workspace",
        ]
        environment = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/root", "container": "kube"}
        return measure(
            [*command, *run, "--dockerfile=/workspace/Dockerfile", f"--snapshot-mode={self.mode}"],
            env=environment,
            log=os.path.join(self._work, "log"),
        )

    def own_step_ms(self) -> float | None:
        return None

    def close(self) -> None:
        if self._registry is not None:
            self._registry.terminate()
            self._registry.wait()
