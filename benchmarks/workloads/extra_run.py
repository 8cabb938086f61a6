"""What one more ``RUN echo hi > /f`` costs, whole: start, track, reconcile, layer.

Measured as (a build with many RUNs - a build with 1 RUN) / (many - 1): unpacking the base cancels out. Each of the two
is the fastest of several, taken in turns: noise only ever adds, and the more RUNs, the less of it is left in one.
"""

import os
from dataclasses import dataclass
from statistics import median

from fswatch_builder.research.peers.peer import BASE, Job, Peer

#: RUNs of the longer build unless said otherwise.
RUNS = 11


@dataclass(frozen=True, slots=True)
class Row:
    """One builder at one tree size. ``step_ms`` is the cost of one more RUN, ``own_step_ms`` what its own clock
    says, ``peak_mib`` the memory of the largest process.
    """

    peer: str
    files: int
    step_ms: float
    own_step_ms: float | None
    one_run_s: float
    peak_mib: float


def _jobs(directory: str, runs: int) -> tuple[Job, Job]:
    """Writes the two Dockerfiles, the second with as many RUNs as ``runs`` says, and an empty context."""
    context = os.path.join(directory, "context")
    os.mkdir(context)
    found = []
    for count in (1, runs):
        path = os.path.join(directory, f"Dockerfile.{count}")
        with open(path, "w") as file:
            file.write(f"FROM {BASE}\n" + "".join(f"RUN echo hi{n} > /f\n" for n in range(count)))
        found.append(Job(context, path))
    return found[0], found[1]


def measure_peer(peer: Peer, files: int, work: str, runs: int, repeat: int) -> Row:
    """Both builds, ``repeat`` times in turns; the Dockerfiles are put into ``work``."""
    one, many = _jobs(work, runs)
    ones, manies, own = [], [], []
    for _ in range(repeat):
        ones.append(peer.build(one).cost)
        built = peer.build(many)
        manies.append(built.cost)
        # The first has the base to unpack, where the clock does not leave that out.
        own += [median(built.runs[1:]) * 1000] if built.runs[1:] else []
    fastest_one = min(cost.seconds for cost in ones)
    fastest_many = min(cost.seconds for cost in manies)
    return Row(
        peer=peer.name,
        files=files,
        step_ms=(fastest_many - fastest_one) / (runs - 1) * 1000,
        own_step_ms=min(own, default=None),
        one_run_s=fastest_one,
        peak_mib=max(cost.peak_kib for cost in [*ones, *manies]) / 1024,
    )
