"""What research is done on."""

from pathlib import Path

import pytest

from fswatch_builder.research.machine import Machine, describe


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return describe(str(tmp_path))
