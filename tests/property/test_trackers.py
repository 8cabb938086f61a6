"""Random programs, step after step, under all trackers armed together once: the layers are equal byte for byte.

The trackers' changes are judged by the oracle. At the end the base and all layers are unpacked and compared with the
tree. ``make soak`` does the same for long (tests/soak.py).
"""

import os
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from fswatch_builder.tracking.limits import read_limits
from tests.support.programs.actor import MAIN, NAMES, Operation
from tests.support.programs.operations import INSIDE, OUTSIDE, process_for
from tests.support.programs.program import COPY_NAMES, VARIANTS, WORKDIR_NAMES, Add, Copy, Run, Step, Workdir
from tests.support.tracked_programs import Bases, Tracked

pytestmark = pytest.mark.root

numbers = st.integers(0, 40)


@st.composite
def drawn_operations(draw: st.DrawFn) -> Operation:
    action = draw(st.sampled_from(INSIDE + OUTSIDE))
    process = process_for(action, draw(st.integers(0, 3)))
    name, number = draw(st.integers(0, len(NAMES) - 1)), draw(st.integers(0, 7))
    return Operation(action, process, draw(numbers), draw(numbers), name, number)


operations = drawn_operations()
runs = st.builds(
    Run,
    st.lists(operations, min_size=1, max_size=8).map(tuple),
    is_read=st.booleans(),
)


class Machine(RuleBasedStateMachine):
    """One tree, several steps."""

    bases: Bases

    @initialize(variant=st.integers(0, VARIANTS - 1), watches=st.integers(0, 6))
    def unpack_and_arm(self, variant: int, watches: int) -> None:
        directory = Path(tempfile.mkdtemp(prefix="program-", dir=self.bases.directory))
        self.tracked = Tracked(self.bases, directory, variant=variant, watches=watches)

    def do(self, step: Step) -> None:
        said = len(self.tracked.log)
        try:
            self.tracked.do(step)
        finally:
            for line in self.tracked.log[said:]:
                note(f"    {line}")

    @rule(run=runs)
    def run_a_program(self, run: Run) -> None:
        self.do(run)

    # Rules are drawn evenly; these are what it is about.
    @rule(run=runs)
    def run_another_program(self, run: Run) -> None:
        self.do(run)

    @rule(one=operations)
    def run_one_operation(self, one: Operation) -> None:
        self.do(Run((one,)))

    @rule(before=runs, after=runs)
    def run_a_program_that_fills_the_queue(self, before: Run, after: Run) -> None:
        flood = Operation("flood", MAIN, read_limits().queued_events, 0, 0, 0)
        self.do(Run((*before.operations, flood, *after.operations), is_read=False))

    @rule(before=runs, after=runs, writes=numbers, other=numbers)
    def run_a_program_with_a_storm(self, before: Run, after: Run, writes: int, other: int) -> None:
        storm = Operation("storm", MAIN, writes, other, 0, 5)
        self.do(Run((*before.operations, storm, *after.operations)))

    @rule()
    def run_true(self) -> None:
        self.do(Run(()))

    @rule(
        files=st.lists(numbers, min_size=1, max_size=3).map(tuple),
        place=numbers,
        name=st.sampled_from(COPY_NAMES),
        mode=st.sampled_from([None, "0640"]),
    )
    def copy(self, files: tuple[int, ...], place: int, name: str, mode: str | None) -> None:
        self.do(Copy(files, place, name, mode))

    @rule(place=numbers, owner=st.sampled_from([None, (3, 4)]))
    def add(self, place: int, owner: tuple[int, int] | None) -> None:
        self.do(Add(place, owner))

    @rule(place=numbers, name=st.sampled_from(WORKDIR_NAMES))
    def workdir(self, place: int, name: str) -> None:
        self.do(Workdir(place, name))

    def teardown(self) -> None:
        if hasattr(self, "tracked"):
            try:
                self.tracked.check_unpacking()
            finally:
                self.tracked.close()


def test_every_tracker_gives_the_layers_of_a_scan_step_after_step(tmp_path: Path) -> None:
    with Bases(tmp_path) as bases:
        Machine.bases = bases
        run_state_machine_as_test(
            seed(int(os.environ.get("PROGRAMS_SEED", str(random.randrange(2**32)))))(Machine),
            settings=settings(
                max_examples=int(os.environ.get("PROGRAMS", "50")),
                stateful_step_count=6,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
