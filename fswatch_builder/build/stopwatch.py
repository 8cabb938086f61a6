"""Where the time of one step goes."""

import time

from fswatch_builder.build.events import StepCosts


class Stopwatch:
    """Runs from the moment it is made."""

    def __init__(self) -> None:
        """Starts."""
        self._laps: dict[str, float] = {}
        self._since = time.monotonic()

    def lap(self, name: str) -> None:
        """The time since the last lap went into ``name``, a field of ``StepCosts``."""
        now = time.monotonic()
        self._laps[name] = self._laps.get(name, 0.0) + now - self._since
        self._since = now

    def skip(self) -> None:
        """The time since the last lap counts for nothing."""
        self._since = time.monotonic()

    def costs(self) -> StepCosts:
        """All laps so far."""
        return StepCosts(**self._laps)
