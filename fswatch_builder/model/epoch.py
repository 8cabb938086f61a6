"""``SOURCE_DATE_EPOCH``: the moment after which nothing in a reproducible image was made."""

from typing import Final

#: The last second of the year 9999, where the dates of image documents end.
LATEST: Final = 253_402_300_799


def parse_epoch(text: str) -> int:
    """Seconds since 1970, from a whole number. Raises ValueError."""
    # Python refuses to convert thousands of digits.
    if not (text.isascii() and text.isdecimal()) or len(text.lstrip("0")) > len(str(LATEST)) or int(text) > LATEST:
        raise ValueError(f"not a number of seconds from 0 to {LATEST}: {text[:40]!r}")
    return int(text)
