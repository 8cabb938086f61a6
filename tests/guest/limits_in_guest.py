"""`limits` in a guest, which alone may have its limits set: ``make limits-guest``. The documents stay with the logs.

Not named as tests are, so that it runs only where it is asked for.
"""

import json
from pathlib import Path

from tests.support.cli import fswatch_builder

OUT = Path("/run/results/limits")
LIMIT = Path("/proc/sys/fs/inotify/max_queued_events")


def test_a_queue_takes_as_many_events_as_it_may_and_the_limit_is_put_back() -> None:
    before = LIMIT.read_text()
    fswatch_builder("limits", "queue-limit", "--change-host", "--repeat", "1", "--out", str(OUT))
    assert LIMIT.read_text() == before
    rows = json.loads((OUT / "queue-limit.json").read_text())["rows"]
    unread = [row for row in rows if row["interval_ms"] == -1]
    assert {row["queue_depth"] for row in unread} > {256, 4_096}
    for row in unread:
        assert row["arrived"] == min(row["burst"], row["queue_depth"]), row


def test_what_depends_on_the_kernel_is_there_to_be_merged() -> None:
    """`report DIR DIR...` shows several kernels side by side."""
    fswatch_builder("limits", "clock", "coalescing", "--repeat", "1", "--out", str(OUT))
    assert {path.name for path in OUT.glob("*.json")} >= {"clock.json", "coalescing.json"}
