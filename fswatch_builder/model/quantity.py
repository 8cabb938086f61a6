"""Amounts of memory and disk as Docker's options spell them, and as it prints them."""

import re
from typing import Final

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?) ?(?:([kmgtp])?(?:i?b)?)?", re.IGNORECASE)
_LARGEST: Final = 2**63 - 1


def bytes_of(text: str) -> int:
    """``64m``, ``1.5GiB``, ``1024``: powers of 1024, whatever the case. Raises ValueError."""
    found = _SIZE.fullmatch(text)
    if found is None or not text.isascii():
        raise ValueError(f"not a size: {text!r} (such as 512k, 64m or 1.5g)")
    number, unit = found.groups()
    size = int(float(number) * 1024 ** " kmgtp".index((unit or " ").lower()))
    if size > _LARGEST:
        raise ValueError(f"too large: {text!r}")
    return size


def size_text(size: int) -> str:
    """In decimal units, as docker prints sizes."""
    value, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{size}B" if unit == "B" else f"{value:.3g}{unit}"
