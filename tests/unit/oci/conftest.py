from collections.abc import Iterator
from pathlib import Path

import pytest

from fswatch_builder.oci.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as opened:
        yield opened
