"""How long ago: docker's words for it."""

from datetime import UTC, datetime, timedelta

import pytest

from fswatch_builder.cli.ago import ago

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
