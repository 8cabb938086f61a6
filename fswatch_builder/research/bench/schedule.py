"""In which order trials are done."""

import random
from collections.abc import Iterator, Sequence

from msgspec import Struct

from fswatch_builder.research.bench.rows import Cell


class Turn(Struct, frozen=True):
    """One trial to do."""

    cell: Cell
    repetition: int


def turns(corpus: str, workloads: Sequence[str], strategies: Sequence[str], repeat: int, seed: int) -> Iterator[Turn]:
    """All trials on one corpus: in each repetition every workload once, under every strategy, in an order drawn anew.

    Strategies that are compared follow each other at once, so what else the machine does hits them alike; and none
    always has the same one before it, whose leavings (caches, a processor's pace) it would get.
    """
    for repetition in range(repeat):
        # Of its own, so that a run that goes on draws the same.
        draw = random.Random(f"{seed}/{corpus}/{repetition}")
        for workload in draw.sample(workloads, len(workloads)):
            for strategy in draw.sample(strategies, len(strategies)):
                yield Turn(Cell(corpus, workload, strategy), repetition)
