"""Amounts of memory as Docker's options spell them."""

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
