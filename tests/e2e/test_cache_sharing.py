"""Two builds at the same time and one cache mount: who runs with whom, and who waits (R11).

The RUNs meet at a FIFO in the cache: either of its ends opens only when the other one does.
"""

import os
from pathlib import Path

import pytest

from tests.support.builds import Workshop
from tests.support.processes import building, until

pytestmark = pytest.mark.root


def cache(sharing: str) -> str:
    return f"RUN --mount=type=cache,target=/c,sharing={sharing}"


def with_fifo(workshop: Workshop) -> Path:
    """A cache that holds one: its path in the store."""
    workshop.build(f"FROM base\n{cache('shared')} mkfifo /c/gate\n")
    (path,) = (workshop.store / "kept/mount").glob("*/gate")
    return path


def test_who_shares_a_cache_runs_at_once(workshop: Workshop) -> None:
    with_fifo(workshop)
    with (
        building(workshop, "Dockerfile.one", f"FROM base\n{cache('shared')} echo met >/c/gate") as one,
        building(workshop, "Dockerfile.other", f"FROM base\n{cache('shared')} cat /c/gate") as other,
    ):
        until(other, " met")
        assert (one.wait(), other.wait()) == (0, 0)


def test_who_locks_a_cache_has_it_alone(workshop: Workshop) -> None:
    gate = with_fifo(workshop)
    with building(
        workshop, "Dockerfile.one", f"FROM base\n{cache('locked')} echo begun; cat /c/gate; echo one >>/c/log"
    ) as one:
        until(one, " begun")
        with building(
            workshop, "Dockerfile.other", f"FROM base\n{cache('locked')} echo other >>/c/log; cat /c/log"
        ) as other:
            before = until(other, "waiting for the cache /c: another RUN has it locked")
            assert " one" not in before
            gate.write_text("go\n")
            until(other, " other")
            assert (one.wait(), other.wait()) == (0, 0)
    assert (gate.parent / "log").read_text() == "one\nother\n"


def test_who_has_a_private_cache_finds_another_one_while_it_is_used(workshop: Workshop) -> None:
    workshop.build(f"FROM base\n{cache('private')} mkfifo /c/gate\n")
    (gate,) = (workshop.store / "kept/mount").glob("*/gate")
    with building(workshop, "Dockerfile.one", f"FROM base\n{cache('private')} echo begun; cat /c/gate") as one:
        until(one, " begun")
        with building(workshop, "Dockerfile.other", f"FROM base\n{cache('private')} ls /c | wc -l") as other:
            until(other, " 0\n")
            assert other.wait() == 0
        assert one.poll() is None
        gate.write_text("go\n")
        assert one.wait() == 0
    with building(workshop, "Dockerfile.third", f"FROM base\n{cache('private')} ls /c") as third:
        until(third, " gate")
        assert third.wait() == 0
    assert len(os.listdir(workshop.store / "kept/mount")) >= 2
