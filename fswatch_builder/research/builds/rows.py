"""What is measured of a Dockerfile, build by build."""

from msgspec import Struct

from fswatch_builder.research.machine import Machine
from fswatch_builder.research.peers.peer import Absent

CONTEXT, DOCKERFILE = "context", "Dockerfile"


class Run(Struct, frozen=True):
    """One RUN. Times are seconds by the builder's own clock; ``None`` where it does not tell so much.

    ``seconds`` is what one more RUN like it would take: unpacking the base and arming a tracker are not in it.
    ``command`` is the command alone, ``find`` settling and comparing, ``pack`` the layer, compressed and stored.
    ``losses``: why a part of the tree had to be looked at whole. ``tracker``: what changes were found with.
    """

    seconds: float
    command: float | None = None
    find: float | None = None
    pack: float | None = None
    losses: tuple[str, ...] = ()
    tracker: str | None = None


class Build(Struct, frozen=True):
    """One whole build, nothing of it from the cache. Times are seconds, sizes bytes.

    ``cpu_s`` and ``peak_rss`` are None where a daemon does the work. ``once_s`` is what a build does once: making the
    root file system, arming. ``layers`` are the diffIDs its steps made; ``differs`` the paths in which its image
    differs from the reference's, times aside. None: it was not looked at.
    """

    seconds: float
    cpu_s: float | None
    peak_rss: int | None
    once_s: float | None
    runs: tuple[Run, ...]
    layers: tuple[str, ...] | None = None
    differs: tuple[str, ...] | None = None

    @property
    def run_s(self) -> float | None:
        """What a RUN takes, on average; None without one, or if the builder does not tell."""
        return sum(run.seconds for run in self.runs) / len(self.runs) if self.runs else None


class BuildRow(Struct, frozen=True):
    """One build of one builder. ``load`` is the share of the processors that others kept busy meanwhile.

    Exactly one of ``build`` and ``problem`` is there.
    """

    builder: str
    repetition: int
    load: float
    build: Build | None
    problem: str | None = None

    def __post_init__(self) -> None:
        if (self.build is None) == (self.problem is None):
            raise ValueError("a build or a problem")


class Contestant(Struct, frozen=True):
    """A builder that takes part. ``kind``: ``watching``, ``scanning``, ``choosing`` between the two, or ``peer``."""

    name: str
    kind: str
    version: str
    means: str


class BuildPlan(Struct, frozen=True):
    """What a run measures. ``dockerfile`` is the digest of its text. Two runs of one plan build the same, in the same
    order.
    """

    context: str
    dockerfile: str
    contestants: tuple[Contestant, ...]
    absent: tuple[Absent, ...]
    repeat: int
    seed: int
    machine: Machine

    def __post_init__(self) -> None:
        if not self.contestants or self.repeat < 1:
            raise ValueError("nothing is measured")

    @property
    def builds(self) -> int:
        """How many there are to do."""
        return len(self.contestants) * self.repeat
