"""What is charged to this process and its commands alone."""

import os
import subprocess
import sys

import pytest

from fswatch_builder.research.cgroup import own_group
from tests.support.cgroup import memory_group

with memory_group(1 << 30) as _possible:
    pass

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(_possible is None, reason="no memory cgroup can be made here"),
]


def groups() -> list[str]:
    with open("/proc/self/cgroup") as lines:
        return sorted(lines)


def test_the_peak_has_the_commands_memory_and_can_be_reset() -> None:
    take = [sys.executable, "-c", "x = b'1' * (64 << 20)"]
    with own_group() as group:
        assert group is not None
        group.reset_peak()
        before = group.peak()
        subprocess.run(take, check=True)
        assert group.peak() - before > 64 << 20
        group.reset_peak()
        assert group.peak() - before < 64 << 20
        assert group.kernel() > 0


def test_nothing_is_left_of_the_group_and_the_process_is_back() -> None:
    before = groups()
    with own_group():
        assert groups() != before
    assert groups() == before
    found = subprocess.run(
        ["find", "/sys/fs/cgroup", "-name", f"fswatch-bench-{os.getpid()}"], capture_output=True, text=True, check=True
    )
    assert found.stdout == ""
