"""What is measured, cell by cell, and the rows that come of it."""

from msgspec import Struct

from fswatch_builder.research.bench.trial import Trial
from fswatch_builder.research.machine import Machine
from fswatch_builder.research.strategies import UNWATCHED


class Cell(Struct, frozen=True):
    """One way to find out (or none, ``UNWATCHED``) about one command on one tree."""

    corpus: str
    workload: str
    strategy: str


class Tree(Struct, frozen=True):
    """A corpus as it was measured: ``digest`` over names, modes, links and contents, workloads' own files left out."""

    name: str
    entries: int
    digest: str


class Row(Struct, frozen=True):
    """One trial. ``load`` is the share of the processors that others kept busy meanwhile, ``cache`` whether the kernel
    knew the tree when it began.

    Exactly one of ``trial`` and ``problem`` is there: a strategy that cannot do it is a result too.
    """

    cell: Cell
    tree: Tree
    repetition: int
    load: float
    trial: Trial | None
    problem: str | None = None
    cache: str = "warm"

    def __post_init__(self) -> None:
        if (self.trial is None) == (self.problem is None):
            raise ValueError("a trial or a problem")


class Plan(Struct, frozen=True):
    """What a run measures. ``strategies`` holds ``UNWATCHED`` too: without it nothing can be said of a slowdown.

    Two runs of one plan on one machine measure the same, in the same order.
    """

    corpora: tuple[str, ...]
    workloads: tuple[str, ...]
    strategies: tuple[str, ...]
    repeat: int
    seed: int
    cache: str
    machine: Machine

    def __post_init__(self) -> None:
        if UNWATCHED not in self.strategies:
            raise ValueError(f"nothing can be compared without {UNWATCHED}")
        if self.repeat < 1:
            raise ValueError("nothing is measured")

    @property
    def trials(self) -> int:
        """How many there are to do."""
        return len(self.corpora) * len(self.workloads) * len(self.strategies) * self.repeat
