"""Random programs where the user's watches run out, by the kernel's own count, in a user namespace."""

import random
from pathlib import Path

import pytest

from tests.support.namespace import run_limited

pytestmark = pytest.mark.root

PROGRAMS = 10

PLANTED = 5
"""Directories that each program begins with (`tracked_programs.plant`). Two trackers watch them out of one limit."""

# WORKDIR and ADD set owners that the namespace does not have.
SCRIPT = """
import random
from pathlib import Path
from tests.support.programs.program import Copy, Run, drawn
from tests.support.tracked_programs import Bases, Tracked
directory, seed, programs = Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
lost, layers, names = set(), 0, set()
with Bases(directory) as bases:
    for number in range(seed, seed + programs):
        program = drawn(random.Random(number), faults=number % 2 == 0)
        place = directory / f"program-{number}"
        place.mkdir()
        tracked = Tracked(bases, place, variant=program.variant, watches=1_000_000)
        try:
            for step in program.steps:
                if isinstance(step, Run | Copy):
                    tracked.do(step)
        except AssertionError as error:
            raise AssertionError("\\n".join([str(error), *tracked.log, repr(program)])) from error
        finally:
            tracked.close()
        for place in tracked.places:
            lost |= place.widened
            layers += place.layers_of_runs
            names |= set(place.watched)
print(json.dumps([sorted(lost), layers, sorted(names)]))
"""


@pytest.mark.parametrize("room", ["for few", "for some"])
def test_watches_that_run_out_in_random_programs(room: str, tmp_path: Path) -> None:
    limit = random.randint(2, 6) if room == "for few" else random.randint(7, 2 * PLANTED - 1)
    seed = random.randrange(2**32)
    lost, layers, names = run_limited(SCRIPT, str(tmp_path), str(seed), str(PROGRAMS), max_inotify_watches=limit)
    assert "watch-limit" in lost
    assert layers > 0
    assert {"inotify", "scan"} <= set(names)
