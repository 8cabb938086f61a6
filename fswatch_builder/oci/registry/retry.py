"""When to ask a registry again, and when to give up."""

import email.utils
import random
import time
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

#: Statuses that may pass: too many requests, time-outs, a proxy or server in trouble.
PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


class RetryPolicy(Struct, frozen=True):
    """``deadline_s``: seconds a request and its repetitions may wait in sum; ``first_s`` doubles each time."""

    attempts: int = 5
    deadline_s: float = 120.0
    first_s: float = 0.5

    def wait(self, attempt: int, waited_s: float, retry_after: str | None) -> float | None:
        """Seconds to wait after failed attempt number ``attempt`` (from 1); None: give up."""
        if attempt >= self.attempts:
            return None
        asked = retry_after_seconds(retry_after)
        # Spread out, so that many builds cut off together do not come back together.
        wait = asked if asked is not None else self.first_s * 2 ** (attempt - 1) * random.uniform(0.75, 1.25)  # noqa: S311
        return wait if waited_s + wait <= self.deadline_s else None


def retry_after_seconds(value: str | None) -> float | None:
    """A Retry-After header: seconds (some servers send fractions), or a date. None: none, or it makes no sense."""
    if value is None:
        return None
    text = value.strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            date = email.utils.parsedate_to_datetime(text)
        except ValueError:
            return None
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        return max((date - datetime.fromtimestamp(time.time(), UTC)).total_seconds(), 0.0)
    return seconds if 0 <= seconds < float("inf") else None
