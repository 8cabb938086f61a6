"""File systems that facts are tried on."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.filesystems import mounted


class Disks:
    """Mounted when first asked for, once for all tests."""

    def __init__(self, factory: pytest.TempPathFactory, until_the_end: ExitStack) -> None:
        self._factory = factory
        self._until_the_end = until_the_end
        self._mounted: dict[str, Path] = {}

    def of(self, kind: str) -> Path:
        """``here`` is the one that pytest's directories are on."""
        if kind not in self._mounted:
            directory = self._factory.mktemp(f"on-{kind}")
            point = directory if kind == "here" else self._until_the_end.enter_context(mounted(kind, directory))
            self._mounted[kind] = point
        return self._mounted[kind]


@pytest.fixture(scope="session")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disks]:
    with ExitStack() as until_the_end:
        yield Disks(tmp_path_factory, until_the_end)


@pytest.fixture
def place(request: pytest.FixtureRequest, disks: Disks, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new directory on a file system of the kind that the parameter says, and the working directory."""
    disk = disks.of(request.param)
    directory = disk / f"place-{len(list(disk.iterdir()))}"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return directory
