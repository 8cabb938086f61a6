"""What all tests share: which ones can run here, and that none leaves anything behind."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import settings

from fswatch_builder._native import Rootfs
from tests.conformance.tree import populate
from tests.support.debian import mirror

pytest_plugins = ["tests.support.fixtures"]

# How long an example takes says nothing on a busy machine.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_configure() -> None:
    """A shell's background job is deaf to the terminal's keys, and so would be all that tests start and interrupt."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What cannot run here is skipped by name; continuous integration skips nothing for want of a network."""
    missing = {}
    if os.geteuid() != 0:
        missing["root"] = "needs root: run `sudo make test`"
    if os.environ.get("CI") != "true" and any(item.get_closest_marker("network") for item in items):
        suite, url = mirror()
        if url is None:
            missing["network"] = "needs a Debian mirror, and apt names none"
        elif not _answers(urlsplit(url).hostname or ""):
            missing["network"] = f"needs the Debian mirror ({suite} at {url}), which does not answer"
    for item in items:
        for marker, reason in missing.items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


def _answers(host: str) -> bool:
    try:
        with socket.create_connection((host, 80), timeout=5):
            return True
    except OSError:
        return False


def _mount_points() -> list[bytes]:
    with open("/proc/self/mountinfo", "rb") as table:
        return sorted(line.split()[4] for line in table)


@pytest.fixture(autouse=True, scope="session")
def no_mount_is_left_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """None of ours: other workers and programs come and go meanwhile."""
    yield
    ours = os.fsencode(tmp_path_factory.getbasetemp()) + b"/"
    assert [point for point in _mount_points() if point.startswith(ours)] == []


@pytest.fixture
def populated(tmp_path: Path) -> Rootfs:
    """The tree that mutations work on."""
    root = tmp_path / "rootfs"
    root.mkdir()
    here = os.getcwd()
    try:
        populate(str(root))
    finally:
        os.chdir(here)
    return Rootfs(os.fsencode(root))
