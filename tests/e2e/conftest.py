from pathlib import Path

import pytest

from tests.support.builds import Workshop
from tests.support.rootfs import busybox_rootfs


@pytest.fixture(scope="session")
def busybox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("busybox")
    busybox_rootfs(str(path))
    return path


@pytest.fixture
def workshop(tmp_path: Path, busybox: Path) -> Workshop:
    context = tmp_path / "context"
    context.mkdir()
    return Workshop(context, tmp_path / "store", busybox)
