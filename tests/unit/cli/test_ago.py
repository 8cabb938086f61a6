"""How long ago: docker's words for it."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from fswatch_builder.cli.ago import ago, local_time

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR, DAY = 3600, 86400


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-60, "Less than a second"),
        (0, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (120, "2 minutes"),
        (HOUR - 1, "59 minutes"),
        (HOUR, "About an hour"),
        (2 * HOUR, "2 hours"),
        (47 * HOUR, "47 hours"),
        (3 * DAY, "3 days"),
        (15 * DAY, "2 weeks"),
        (65 * DAY, "2 months"),
        (800 * DAY, "2 years"),
    ],
)
def test_words(seconds: int, told: str) -> None:
    assert ago(NOW - timedelta(seconds=seconds), NOW) == f"{told} ago"


def test_what_nobody_wrote_down_and_what_has_no_zone() -> None:
    assert ago(None, NOW) == "N/A"
    assert ago(datetime(2025, 12, 31, 23, 59), NOW) == "About a minute ago"


@pytest.fixture(params=["America/New_York", "Asia/Tokyo", "UTC"])
def _zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_zone")
def test_times_at_either_end_of_the_calendar_can_be_shown_everywhere() -> None:
    zero = datetime(1, 1, 1, tzinfo=UTC)
    assert (ago(zero, NOW), local_time(zero)) == ("N/A", "N/A")  # Go's, for a time that nobody knows
    last = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert ago(last, NOW) == "Less than a second ago"
    assert local_time(last).startswith("9999-12-31")
