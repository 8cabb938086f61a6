"""Every loss there is has words of its own: what was lost, what was looked at instead, what would spare it."""

from pathlib import Path

import pytest

from fswatch_builder._native import LOSS_REASONS, HintSet
from fswatch_builder.build.events import StepFinished, StepReport
from fswatch_builder.cli.loss_text import loss_lines
from fswatch_builder.cli.render import Losses


@pytest.mark.parametrize("reason", LOSS_REASONS)
def test_every_reason_is_explained_and_says_what_was_looked_at(reason: str) -> None:
    (line,) = loss_lines([(reason, b"usr")], "inotify")
    assert line.startswith(f"{reason}: ")
    assert "all below usr was looked at" in line
    (line,) = loss_lines([(reason, b"")], "inotify")
    assert "everything was looked at" in line


def test_the_reasons_are_those_that_a_tracker_can_give() -> None:
    hints = HintSet()
    for reason in LOSS_REASONS:
        hints.lose(reason, b"")
    assert sorted(reason for reason, _ in hints.losses) == sorted(LOSS_REASONS)
    with pytest.raises(ValueError, match="no such loss"):
        hints.lose("bad-luck", b"")


def test_many_places_of_one_reason_are_one_line() -> None:
    losses = [("watch-limit", b"d%d" % number) for number in range(2000)]
    (line,) = loss_lines([*losses, ("watch-limit", b"\xff")], "inotify")
    assert "all below d0, d1, d2 and 1,998 more was looked at instead" in line


@pytest.mark.parametrize("tracker", ["inotify", "fanotify"])
def test_an_overflow_names_the_length_of_the_queue_that_was_full(tracker: str) -> None:
    (line,) = loss_lines([("queue-overflow", b"")], tracker)
    length = int(Path(f"/proc/sys/fs/{tracker}/max_queued_events").read_text())
    assert line.endswith(f"fs.{tracker}.max_queued_events (now {length:,})")


def test_what_comes_up_after_each_step_is_told_once() -> None:
    losses = Losses()
    step = StepFinished(1, "done", 0.1, StepReport("inotify", 1, (("watch-limit", b"usr"),)))
    assert len(losses.news(step)) == 1
    assert losses.news(step) == []
    assert losses.news(StepFinished(2, "cached", 0.1)) == []
