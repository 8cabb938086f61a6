import os
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


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What `track` follows: files, links of both kinds, directories."""
    tree = tmp_path / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "old/deep").mkdir(parents=True)
    (tree / "etc/conf").write_text("a=1\n")
    (tree / "etc/kind").write_text("file\n")
    (tree / "tool").write_text("#!/bin/sh\n")
    (tree / "old/deep/f").write_text("x\n")
    (tree / "link").symlink_to("etc/conf")
    os.link(tree / "etc/conf", tree / "etc/conf-again")
    return tree
