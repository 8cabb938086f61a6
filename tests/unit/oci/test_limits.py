"""What archives may unpack to."""

import pytest

from fswatch_builder.oci.limits import NO_LIMITS, RATIO_FROM, USUAL, UnpackLimits


def test_what_is_not_said_stays_as_usual() -> None:
    assert UnpackLimits.parse("") == USUAL
    assert UnpackLimits.parse("ratio=7") == UnpackLimits(USUAL.size, 7, USUAL.entries)
    assert UnpackLimits.parse("size=none,ratio=none,entries=none") == NO_LIMITS


@pytest.mark.parametrize(
    ("text", "size"),
    [("7", 7), ("1k", 1 << 10), ("3MB", 3 << 20), ("100g", 100 << 30), ("2TiB", 2 << 40), ("5b", 5)],
)
def test_sizes_are_written_as_for_docker(text: str, size: int) -> None:
    assert UnpackLimits.parse(f"size={text}").size == size


@pytest.mark.parametrize(
    "text", ["size", "size=", "size=-1", "size=1.5g", "size=1x", "ratio=1g", "entries=٣", "depth=1"]
)
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        UnpackLimits.parse(text)


def test_the_smaller_of_size_and_ratio_counts() -> None:
    limits = UnpackLimits(size=5 * RATIO_FROM, ratio=100)
    assert limits.bytes_from(1000) == RATIO_FROM  # zeros, but few of them
    assert limits.bytes_from(RATIO_FROM // 50) == RATIO_FROM // 50 * 100
    assert limits.bytes_from(RATIO_FROM) == 5 * RATIO_FROM
    assert UnpackLimits(size=None, ratio=2).bytes_from(RATIO_FROM) == 2 * RATIO_FROM
    assert NO_LIMITS.bytes_from(1) is None
