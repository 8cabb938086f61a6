"""One line of the table, and how its figures are taken."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Row:
    """``value`` and ``peer_value`` are medians of runs that took turns; the lowest is kept beside each.

    ``most`` is the goal: no more than that, of ``value``, or of the ratio of the two if there is a peer.
    """

    what: str
    subject: str
    files: int
    value: float
    unit: str
    lowest: float
    peer: str = ""
    peer_value: float | None = None
    peer_lowest: float | None = None
    most: float | None = None

    @property
    def ratio(self) -> float | None:
        """``value`` to ``peer_value``."""
        return None if not self.peer_value else self.value / self.peer_value

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        judged = self.value if self.ratio is None else self.ratio
        return None if self.most is None else judged <= self.most

    def __str__(self) -> str:
        text = f"{self.what:44} {self.subject:26} {self.files:>8} {self.value:>10.3f} {self.unit}"
        if self.ratio is not None:
            text += f"  {self.ratio:.3g} x {self.peer}"
        if self.most is not None:
            text += f"  (<= {self.most:g}: {'yes' if self.reached else 'NO'})"
        return text


def row(
    what: str,
    subject: str,
    files: int,
    values: list[float],
    unit: str,
    *,
    peer: str = "",
    peer_values: list[float] | None = None,
    most: float | None = None,
) -> Row:
    """From the figures of all runs."""
    return Row(
        what=what,
        subject=subject,
        files=files,
        value=median(values),
        unit=unit,
        lowest=min(values),
        peer=peer,
        peer_value=median(peer_values) if peer_values else None,
        peer_lowest=min(peer_values) if peer_values else None,
        most=most,
    )


def in_turns(runs: Mapping[str, Callable[[], T]], repeat: int) -> dict[str, list[T]]:
    """Runs all of them ``repeat`` times, one after the other, in an order drawn anew each time.

    What else the machine does hits all alike, and so does what one run leaves to the next: caches, a processor's pace.
    """
    figures: dict[str, list[T]] = {name: [] for name in runs}
    names = list(runs)
    order = random.Random(repeat)
    for _ in range(repeat):
        order.shuffle(names)
        for name in names:
            figures[name].append(runs[name]())
    return figures


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What a call returns, and the seconds it took."""
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


def seconds(work: Callable[[], object]) -> float:
    """How long a call takes."""
    return timed(work)[1]
