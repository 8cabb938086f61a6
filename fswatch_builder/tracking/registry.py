"""All trackers there are. A new one is a new file in ``strategies/``, called as it is, with a ``TRACKER`` in it."""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping

from fswatch_builder.tracking import strategies
from fswatch_builder.tracking.protocol import Tracker


class _Trackers(Mapping[str, Tracker]):
    """Each is imported when it is asked for: a RUN must not wait for what another tracker needs."""

    def __init__(self) -> None:
        self._names = sorted(module.name for module in pkgutil.iter_modules(strategies.__path__))

    def __getitem__(self, name: str) -> Tracker:
        if name not in self._names:
            raise KeyError(name)
        tracker: Tracker = importlib.import_module(f"{strategies.__name__}.{name}").TRACKER
        if tracker.name != name:
            raise ValueError(f"the tracker {tracker.name} is in the file of {name}")
        return tracker

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def trackers() -> Mapping[str, Tracker]:
    """Trackers by name, sorted."""
    return _Trackers()
