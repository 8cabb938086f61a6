"""What all tests share: which ones can run here, and that none leaves anything behind."""

import os
from collections.abc import Iterator

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need root are skipped, by name, for an ordinary user."""
    if os.geteuid() == 0:
        return
    needs_root = pytest.mark.skip(reason="needs root: run `sudo make test`")
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(needs_root)


def _mount_points() -> list[bytes]:
    with open("/proc/self/mountinfo", "rb") as table:
        return sorted(line.split()[4] for line in table)


@pytest.fixture(autouse=True, scope="session")
def no_mount_is_left_behind() -> Iterator[None]:
    before = _mount_points()
    yield
    assert _mount_points() == before
