"""BuildKit, inside a dockerd of our own: its own data, its own socket, no bridge, the firewall left alone."""

import os
import subprocess
import time

from benchmarks.measure import Cost, measure

# Debian's client still speaks to the daemon's BuildKit by itself; newer ones want a plug-in.
CLIENT = "/usr/bin/docker"
DAEMON = "/usr/sbin/dockerd"


class BuildKit:
    """``DOCKER_BUILDKIT=1 docker build --no-cache``. Its peak memory is the client's: the daemon does the work."""

    name = "BuildKit (dockerd)"

    def __init__(self) -> None:
        self._daemon: subprocess.Popen[bytes] | None = None

    def missing(self) -> str | None:
        absent = [path for path in (CLIENT, DAEMON) if not os.path.exists(path)]
        return f"not installed: {', '.join(absent)}" if absent else None

    def prepare(self, rootfs: str, archive: str, work: str) -> None:  # noqa: ARG002 - peers differ in what they need
        self._work = os.path.join(work, "dockerd")
        os.makedirs(self._work)
        self._environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": self._work,
            "DOCKER_HOST": f"unix://{self._work}/sock",
            "DOCKER_BUILDKIT": "1",
        }
        options = ["--iptables=false", "--ip6tables=false", "--bridge=none", "--ip-forward=false"]
        options += ["--data-root", f"{self._work}/data", "--exec-root", f"{self._work}/exec"]
        options += ["--pidfile", f"{self._work}/pid", "-H", self._environment["DOCKER_HOST"]]
        with open(os.path.join(self._work, "dockerd.log"), "wb") as log:
            self._daemon = subprocess.Popen([DAEMON, *options], env=self._environment, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while subprocess.run([CLIENT, "version"], env=self._environment, capture_output=True, check=False).returncode:
            if self._daemon.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"dockerd did not start, see {self._work}/dockerd.log")
            time.sleep(0.2)
        command = [CLIENT, "import", archive, "bench-base"]
        subprocess.run(command, env=self._environment, check=True, stdout=subprocess.DEVNULL)

    def build(self, dockerfile: str) -> Cost:
        context = os.path.join(self._work, "context")
        os.makedirs(context, exist_ok=True)
        command = [CLIENT, "build", "--network", "host", "--no-cache", "-f", dockerfile, context]
        return measure(command, env=self._environment, log=os.path.join(self._work, "log"))

    def export(self, context: str, output: str, *, fresh: bool) -> Cost:
        mode = ["--no-cache"] if fresh else []
        command = [CLIENT, "build", "--network", "host", *mode, "-t", "bench-out", context]
        log = os.path.join(self._work, "log")
        built = measure(command, env=self._environment, log=log)
        return built + measure([CLIENT, "save", "-o", output, "bench-out"], env=self._environment, log=log)

    def own_step_ms(self) -> float | None:
        return None

    def close(self) -> None:
        if self._daemon is not None:
            self._daemon.terminate()
            self._daemon.wait()
