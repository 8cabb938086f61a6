"""Amounts of bytes and time in options."""

import pytest

from fswatch_builder.cli import quantities
from fswatch_builder.errors import UsageError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1024", 1024),
        ("10GB", 10 << 30),
        ("10g", 10 << 30),
        ("1.5GiB", 3 << 29),
        ("512 mb", 512 << 20),
        ("7b", 7),
        ("2TB", 2 << 40),
    ],
)
def test_sizes_are_docker_s(text: str, size: int) -> None:
    assert quantities.size("--keep-storage", text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "1XB", "1e3", "1,5GB", "ten"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--keep-storage") as caught:
        quantities.size("--keep-storage", text)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("24h", 1_000_000 - 86400),
        ("1h30m", 1_000_000 - 5400),
        ("7d", 1_000_000 - 7 * 86400),
        ("1w", 1_000_000 - 7 * 86400),
        ("1.5s", 1_000_000 - 1.5),
        ("500ms", 1_000_000 - 0.5),
        ("0s", 1_000_000),
        ("1700000000", 1_700_000_000),
        ("1970-01-02", 86400),
        ("1970-01-02T00:00:00Z", 86400),
        ("1970-01-02T01:00:00+01:00", 86400),
    ],
)
def test_ages_and_times(text: str, moment: float) -> None:
    assert quantities.moment("--filter until=", text, 1_000_000) == moment


@pytest.mark.parametrize("text", ["", "h", "1y", "-1h", "yesterday", "2026-13-01"])
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="neither an age nor a time"):
        quantities.moment("--filter until=", text, 1_000_000)
