from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.registry import need
from tests.support.web import Repository, Web, web_server


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    with web_server(tmp_path / "repositories") as served:
        yield served


@pytest.fixture
def repository(web: Web) -> Repository:
    need("git")
    return Repository(web, "r")
