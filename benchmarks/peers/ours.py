"""The builder of this repository, with one tracker and one way of hashing."""

import json
import os
import subprocess
import sys
from statistics import median

from benchmarks.measure import Cost, measure


class Ours:
    """``fswatch-builder build --no-cache``."""

    def __init__(self, tracker: str, hash_mode: str = "evidence") -> None:
        self.tracker = tracker
        self.hash_mode = hash_mode
        self.name = f"fswatch-builder {tracker}" + (f" --hash {hash_mode}" if hash_mode != "evidence" else "")

    def missing(self) -> str | None:
        return None

    def prepare(self, rootfs: str, archive: str, work: str) -> None:  # noqa: ARG002 - peers differ in what they need
        self._work = os.path.join(work, self.name.replace(" ", "-"))
        os.makedirs(self._work)
        self._options = ["--store", os.path.join(self._work, "store"), "--build-context", f"bench-base={rootfs}"]
        warm = os.path.join(self._work, "Dockerfile.warm")
        with open(warm, "w") as file:
            file.write("FROM bench-base\nLABEL warm=1\n")
        subprocess.run([*self.command(warm), "--quiet"], check=True, stdout=subprocess.DEVNULL)

    def _builder(self) -> list[str]:
        command = [sys.executable, "-m", "fswatch_builder", "build", *self._options]
        return [*command, "--tracker", self.tracker, "--hash", self.hash_mode]

    def command(self, dockerfile: str) -> list[str]:
        return [*self._builder(), "--no-cache", "-f", dockerfile, self._work]

    def build(self, dockerfile: str) -> Cost:
        return measure([*self.command(dockerfile), "--progress", "rawjson"], log=self._log())

    def export(self, context: str, output: str, *, fresh: bool) -> Cost:
        mode = ["--no-cache"] if fresh else []
        return measure([*self._builder(), *mode, "-o", f"type=oci,dest={output}", context], log=self._log())

    def own_step_ms(self) -> float | None:
        with open(self._log()) as log:
            events = [json.loads(line) for line in log if line.startswith("{")]
        # The first is FROM; the first RUN unpacks the base.
        steps = [event["seconds"] for event in events if event["event"] == "StepFinished"][2:]
        return median(steps) * 1000 if steps else None

    def _log(self) -> str:
        return os.path.join(self._work, "log")

    def close(self) -> None:
        pass
