"""All trackers there are. A new one is a new file in ``strategies/`` with a ``TRACKER`` in it."""

import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType

from fswatch_builder.tracking import strategies
from fswatch_builder.tracking.protocol import Tracker


def trackers() -> Mapping[str, Tracker]:
    """Trackers by name, sorted."""
    names = sorted(module.name for module in pkgutil.iter_modules(strategies.__path__))
    modules = [importlib.import_module(f"{strategies.__name__}.{name}") for name in names]
    found: list[Tracker] = [module.TRACKER for module in modules]
    return MappingProxyType({tracker.name: tracker for tracker in found})
