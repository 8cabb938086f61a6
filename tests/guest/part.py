"""A plugin of pytest: runs every n-th test only. ``PART`` says which, as ``2/5``: the third, the eighth, and so on.

Neighbours in a table are alike, so a part of it has something of everything. What is left out is in pytest's summary.
"""

import os

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Called by pytest with all tests that were found."""
    first, step = (int(number) for number in os.environ["PART"].split("/"))
    chosen = items[first::step]
    left_out = [item for number, item in enumerate(items) if number % step != first]
    config.hook.pytest_deselected(items=left_out)
    items[:] = chosen
