"""Every tracker, armed together on one tree, through steps of which some have more writes than are told of."""

import os
from pathlib import Path

import pytest

from fswatch_builder import _native as native
from fswatch_builder.changes import oracle
from tests.support.mutating import mutate
from tests.support.storms import make_many, storm
from tests.support.tracked import Armed, armed, assert_nothing_missed

#: What raises MODIFY alone, so that nobody is told of it in a storm.
UNTOLD = ["truncate_by_path", "truncate_by_opening_to_read", "move_the_modification_time_alone"]
#: And what raises other events.
TOLD = ["store_into_a_mapping_and_be_killed", "move_a_directory_and_write_in_it", "exchange_two_directories"]


def advance(together: Armed) -> None:
    """The state now is what the next step is compared with."""
    changes = together.settle()["scan"]
    together.baseline.advance(changes)
    for session in together.sessions:
        session.advance(together.baseline, changes)
    together.before = oracle.snapshot(together.rootfs.path)


@pytest.mark.root
@pytest.mark.parametrize("name", [*UNTOLD, *TOLD])
def test_no_tracker_misses_what_happens_in_a_storm_or_in_the_step_after_it(name: str, populated: native.Rootfs) -> None:
    root = Path(os.fsdecode(populated.path))
    make_many(root / "many")
    with armed(populated) as together:
        storm(root / "many")
        mutate(name, populated.path)
        judged = assert_nothing_missed(together)
        assert len(judged) > 0
        advance(together)
        os.truncate(root / "wide/40", 1)
        assert [path for path, *_ in assert_nothing_missed(together)] == [b"wide/40"]
