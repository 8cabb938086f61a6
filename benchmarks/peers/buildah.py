"""buildah, with a layer for every instruction, on its overlay driver."""

import os
import shutil
import subprocess

from benchmarks.measure import Cost, measure


class Buildah:
    """``buildah build --layers --no-cache``; isolation chroot, the cheapest it has."""

    name = "buildah"

    def missing(self) -> str | None:
        return None if shutil.which("buildah") else "buildah is not installed"

    def prepare(self, rootfs: str, archive: str, work: str) -> None:  # noqa: ARG002 - peers differ in what they need
        self._work = os.path.join(work, "buildah")
        os.makedirs(self._work)
        self._options = [
            "--root",
            f"{self._work}/root",
            "--runroot",
            f"{self._work}/run",
            "--storage-driver",
            "overlay",
        ]
        container = self._call("from", "scratch")
        self._call("add", container, archive, "/")
        self._call("commit", container, "localhost/bench-base")
        self._call("rm", container)

    def _call(self, *arguments: str) -> str:
        command = ["buildah", *self._options, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def build(self, dockerfile: str) -> Cost:
        local = os.path.join(self._work, "Dockerfile")
        with open(dockerfile) as source, open(local, "w") as target:
            target.write(source.read().replace("FROM bench-base", "FROM localhost/bench-base"))
        command = ["buildah", *self._options, "build", "--isolation", "chroot", "--layers", "--no-cache"]
        return measure([*command, "-t", "bench-out", "-f", local, self._work], log=os.path.join(self._work, "log"))

    def export(self, context: str, output: str, *, fresh: bool) -> Cost:
        local = os.path.join(self._work, "Dockerfile")
        with open(os.path.join(context, "Dockerfile")) as source, open(local, "w") as target:
            target.write(source.read().replace("FROM bench-base", "FROM localhost/bench-base"))
        command = ["buildah", *self._options, "build", "--isolation", "chroot", "--layers"]
        command += ["--no-cache"] if fresh else []
        log = os.path.join(self._work, "log")
        built = measure([*command, "-t", "bench-out", "-f", local, context], log=log)
        if os.path.exists(output):
            os.unlink(output)  # it does not write over one
        pushed = measure(["buildah", *self._options, "push", "bench-out", f"oci-archive:{output}"], log=log)
        return built + pushed

    def own_step_ms(self) -> float | None:
        return None

    def close(self) -> None:
        self._call("rmi", "--all", "--force")
