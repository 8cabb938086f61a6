"""What a handful of measurements says, and how sure that is.

Times on a machine that does other things too are skewed: a few runs take much longer, none much shorter. So the middle
is the median, and the interval around it is the percentile bootstrap's (Efron 1979): the measurements are drawn again
and again, with replacement, and the medians of those draws say how far the median of another run may lie.
"""

import random
from collections.abc import Sequence
from statistics import median

from msgspec import Struct

RESAMPLES = 2_000
CONFIDENCE = 0.95


class Estimate(Struct, frozen=True):
    """The middle of ``count`` measurements; ``low`` to ``high`` holds it with 95 % confidence."""

    median: float
    low: float
    high: float
    count: int

    def __post_init__(self) -> None:
        if not self.low <= self.median <= self.high:
            raise ValueError(f"an interval {self.low} to {self.high} that does not hold {self.median}")

    def overlaps(self, other: "Estimate") -> bool:
        """Whether the two may be the same, for all these measurements tell."""
        return self.low <= other.high and other.low <= self.high


def estimate(samples: Sequence[float], *, seed: int = 0) -> Estimate:
    """The median of ``samples`` and its interval. The same samples and seed give the same. ValueError without any."""
    middle = median(samples)
    return _interval(middle, _medians(samples, random.Random(seed)), len(samples))


def ratio(samples: Sequence[float], to: Sequence[float], *, seed: int = 0) -> Estimate:
    """How many times the median of ``to`` the median of ``samples`` is. ValueError where ``to`` may be nothing."""
    if min(to) <= 0:
        raise ValueError("a ratio to nothing")
    draw = random.Random(seed)
    above, below = _medians(samples, draw), _medians(to, draw)
    ratios = [one / other for one, other in zip(above, below, strict=True)]
    return _interval(median(samples) / median(to), ratios, min(len(samples), len(to)))


def _medians(samples: Sequence[float], draw: random.Random) -> list[float]:
    return [median(draw.choices(samples, k=len(samples))) for _ in range(RESAMPLES)]


def _interval(middle: float, resampled: list[float], count: int) -> Estimate:
    ordered = sorted(resampled)
    cut = round(len(ordered) * (1 - CONFIDENCE) / 2)
    # Few measurements can leave the middle at the edge of what was drawn.
    return Estimate(middle, min(ordered[cut], middle), max(ordered[-1 - cut], middle), count)
