"""What is measured, cell by cell, and the rows that come of it."""

from msgspec import Struct

from fswatch_builder.research.bench.trial import Trial
from fswatch_builder.research.builds.rows import Contestant
from fswatch_builder.research.machine import Machine
from fswatch_builder.research.peers.peer import Absent
from fswatch_builder.research.strategies import UNWATCHED


class Cell(Struct, frozen=True):
    """One way to find out (or none, ``UNWATCHED``) about one command on one tree. ``strategy`` may name a builder."""

    corpus: str
    workload: str
    strategy: str


class Tree(Struct, frozen=True):
    """A corpus as it was measured: ``digest`` over names, modes, links and contents, workloads' own files left out."""

    name: str
    entries: int
    digest: str


class ImageTrial(Struct, frozen=True):
    """A builder's build of a Dockerfile with the command as its last RUN, and the tree in its base. Times are seconds,
    sizes bytes.

    ``run_s`` is that RUN by the builder's own clock, where it tells. ``cpu_s`` and ``peak_rss`` are None where a daemon
    does the work. ``listed`` counts paths of the tree that its layers list, ``missed`` changes that are not among them,
    ``spurious`` those that the command did not change.
    """

    whole_s: float
    run_s: float | None
    cpu_s: float | None
    peak_rss: int | None
    listed: int
    missed: int
    spurious: int


class Row(Struct, frozen=True):
    """One trial of a strategy, or one build of a builder. ``load`` is the share of the processors that others kept busy
    meanwhile, ``cache`` whether the kernel knew the tree when it began.

    Exactly one of ``trial``, ``built`` and ``problem`` is there: one that cannot do it is a result too.
    """

    cell: Cell
    tree: Tree
    repetition: int
    load: float
    trial: Trial | None
    problem: str | None = None
    cache: str = "warm"
    built: ImageTrial | None = None

    def __post_init__(self) -> None:
        if [self.trial, self.built, self.problem].count(None) != 2:
            raise ValueError("a trial, a build or a problem")


class Plan(Struct, frozen=True):
    """What a run measures. ``strategies`` holds ``UNWATCHED`` too: without it nothing can be said of a slowdown.
    ``builders`` are this one and others, if they take part; ``absent`` those that were asked for and are not here.

    Two runs of one plan on one machine measure the same, in the same order.
    """

    corpora: tuple[str, ...]
    workloads: tuple[str, ...]
    strategies: tuple[str, ...]
    repeat: int
    seed: int
    cache: str
    machine: Machine
    builders: tuple[Contestant, ...] = ()
    absent: tuple[Absent, ...] = ()

    def __post_init__(self) -> None:
        if UNWATCHED not in self.strategies:
            raise ValueError(f"nothing can be compared without {UNWATCHED}")
        if self.repeat < 1:
            raise ValueError("nothing is measured")

    @property
    def trials(self) -> int:
        """How many there are to do."""
        return len(self.corpora) * len(self.workloads) * len(self.names) * self.repeat

    @property
    def names(self) -> tuple[str, ...]:
        """Of all that take part."""
        return (*self.strategies, *(builder.name for builder in self.builders))
