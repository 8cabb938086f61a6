"""Fixtures of more than one folder; tests/conftest.py loads them."""

import os
from pathlib import Path

import pytest

from fswatch_builder._native import Rootfs
from tests.support.rootfs import busybox_rootfs


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree that a RUN can run in."""
    directory = tmp_path / "root"
    busybox_rootfs(os.fsencode(directory))
    return directory


@pytest.fixture
def rootfs(root: Path) -> Rootfs:
    return Rootfs(os.fsencode(root))
