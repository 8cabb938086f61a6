import pytest

from fswatch_builder._native import Baseline, Rootfs
from tests.support.hints import baseline_of


@pytest.fixture
def baseline(rootfs: Rootfs) -> Baseline:
    return baseline_of(rootfs)
