"""A second build of a 20-step Dockerfile in which nothing changed: the whole command, Python's start included."""

import os
import subprocess
import sys

from fswatch_builder.research.peers.measuring import Cost, measure
from fswatch_builder.research.peers.own_log import environment

STEPS = 20


def measure_cached(rootfs: str, work: str, repeat: int) -> Cost:
    """Builds it once for the cache, then ``repeat`` times; the fastest, and the largest peak."""
    context = os.path.join(work, "context")
    os.makedirs(context)
    with open(os.path.join(context, "file"), "w") as file:
        file.write("content\n")
    with open(os.path.join(context, "Dockerfile"), "w") as file:
        file.write("FROM bench-base\nWORKDIR /w\nCOPY file .\n")
        file.writelines(f"RUN echo {n} > /w/{n}\n" for n in range(STEPS - 3))
    command = [sys.executable, "-m", "fswatch_builder", "build", "--store", os.path.join(work, "store"), "-t", "cached"]
    command += ["--build-context", f"bench-base={rootfs}", "--progress", "plain", context]
    env = environment(os.environ)
    subprocess.run(command, env=env, check=True, capture_output=True)
    log = os.path.join(work, "log")
    costs = [measure(command, env=env, log=log) for _ in range(repeat)]
    with open(log) as output:
        hits = output.read().count("CACHED")
    if hits < STEPS - 1:
        raise AssertionError(f"only {hits} of {STEPS - 1} steps came from the cache")
    fastest = min(costs, key=lambda cost: cost.seconds)
    return Cost(fastest.seconds, fastest.cpu_s, max(cost.peak_kib for cost in costs))
