"""What a tracker is known to miss, said by a test that turns red on the day it no longer does."""

import os
from pathlib import Path

import pytest

from fswatch_builder._native import Rootfs
from fswatch_builder.tracking.strategies.inotify import InotifyTracker
from tests.support.hints import baseline_of, covers


@pytest.mark.xfail(
    raises=AssertionError,
    reason="inotify reports a write under the name it was made by; that name is gone when we look",
)
@pytest.mark.parametrize("link", ["link", "new/link"], ids=["watched-directory", "new-directory"])
def test_a_write_through_a_link_that_is_made_and_removed_within_the_run(link: str, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/f").write_text("before")
    rootfs = Rootfs(os.fsencode(tmp_path))
    session = InotifyTracker().arm(rootfs, baseline_of(rootfs))
    try:
        (tmp_path / link).parent.mkdir(exist_ok=True)
        os.link(tmp_path / "d/f", tmp_path / link)
        (tmp_path / link).write_text("changed")
        os.unlink(tmp_path / link)
        assert covers(session.settle(), b"d/f")
    finally:
        session.close()
