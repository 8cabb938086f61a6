"""All operations there are, by name."""

import importlib

from tests.support.programs.actor import ACTIONS, HOST

for _module in ("contents", "metadata", "names", "trees", "links", "lasting", "uring"):
    importlib.import_module(f"tests.support.programs.{_module}")

FAULTS = {"flood", "storm"}
"""More events than a queue holds, and than are worth being told of: asked for by name."""
INSIDE = tuple(sorted(set(ACTIONS) - FAULTS))
"""What a process of a RUN does."""

importlib.import_module("tests.support.programs.outside")

OUTSIDE = tuple(sorted(set(ACTIONS) - {*INSIDE, *FAULTS}))
"""What the process outside the tree does."""


def process_for(action: str, number: int) -> int:
    """Who may do it: ``number`` chooses."""
    return HOST if action in OUTSIDE else number % HOST
