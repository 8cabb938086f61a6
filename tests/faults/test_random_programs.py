"""Random programs when something goes wrong: full queues, killed RUNs, coarse clocks. ``make soak`` plays many more."""

import random
from pathlib import Path

import pytest

from tests.support.filesystems import mounted
from tests.support.programs.operations import FAULTS, INSIDE, OUTSIDE
from tests.support.programs.program import Run, drawn
from tests.support.tracked_programs import Bases, play

pytestmark = pytest.mark.root

PROGRAMS = 15


def play_some(directory: Path, *, faults: bool) -> None:
    first = random.randrange(2**32)
    with Bases(directory) as bases:
        for seed in range(first, first + PROGRAMS):
            # A difference shows the program itself, so that it can be played again.
            play(bases, directory / f"program-{seed}", drawn(random.Random(seed), faults=faults), unpack=seed % 3 == 0)


def test_queues_that_overflow_and_runs_that_are_killed_at_random_moments(tmp_path: Path) -> None:
    play_some(tmp_path, faults=True)


@pytest.mark.parametrize("kind", ["ext2", "ramfs"])
def test_on_a_file_system_with_a_coarse_clock(kind: str, tmp_path: Path) -> None:
    with mounted(kind, tmp_path) as directory:
        play_some(directory, faults=True)


def test_the_programs_have_what_they_are_to_have() -> None:
    programs = [drawn(random.Random(seed), faults=True) for seed in range(400)]
    runs = [step for program in programs for step in program.steps if isinstance(step, Run)]
    operations = [operation for run in runs for operation in run.operations]
    assert {operation.action for operation in operations} == {*INSIDE, *OUTSIDE, *FAULTS}
    assert len(INSIDE + OUTSIDE) >= 90
    assert {operation.process for operation in operations} == set(range(5))
    assert any(run.kill and run.at_once for run in runs)
    assert any(run.kill and not run.at_once for run in runs)
