import os
from pathlib import Path

import pytest

from tests.unit.native.trees import Tree


@pytest.fixture
def context(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "context")


@pytest.fixture
def rootfs(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "rootfs")


@pytest.fixture
def me() -> tuple[int, int]:
    """An owner that every user may give."""
    return os.getuid(), os.getgid()
