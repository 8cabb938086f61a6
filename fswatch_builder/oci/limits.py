"""What an archive may unpack to: bombs end in an error, not in a full disk."""

import re
from typing import Final, Self

from msgspec import Struct
from msgspec.structs import replace

#: Bytes. Below it the ratio does not count: a small archive of zeros does no harm.
RATIO_FROM: Final = 1 << 30
_UNITS: Final = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}
_SIZE: Final = re.compile(r"([0-9]{1,15})([kmgt]?)(?:i?b)?", re.IGNORECASE)


class UnpackLimits(Struct, frozen=True):
    """Of one layer or archive. ``None``: none.

    ``size``: bytes of the tar and of the holes in its files. ``ratio``: how often the compressed size goes into that,
    from 1 GiB on. ``entries``: members, each of which costs an inode and memory.
    """

    size: int | None = 100 << 30
    ratio: int | None = 200
    entries: int | None = 5_000_000

    @classmethod
    def parse(cls, text: str) -> Self:
        """``size=100g,ratio=200,entries=5000000``: what is not said stays, ``none`` takes a limit away. A size is in
        bytes or in k, m, g, t of them (powers of 1,024). Raises ValueError.
        """
        limits = cls()
        for item in filter(None, text.split(",")):
            name, _, value = item.partition("=")
            read = _READERS.get(name)
            if read is None:
                raise ValueError(f"{item}: want {', '.join(f'{known}=N' for known in _READERS)}")
            limits = replace(limits, **{name: None if value == "none" else read(value)})
        return limits

    def bytes_from(self, compressed: int) -> int | None:
        """How many bytes may come out of so many."""
        by_ratio = None if self.ratio is None else max(RATIO_FROM, self.ratio * compressed)
        limits = [limit for limit in (self.size, by_ratio) if limit is not None]
        return min(limits) if limits else None


def _number(value: str) -> int:
    if not value.isascii() or not value.isdecimal():
        raise ValueError(f"{value!r} is neither a number nor none")
    return int(value)


def _bytes(value: str) -> int:
    found = _SIZE.fullmatch(value)
    if found is None:
        raise ValueError(f"{value!r} is no size such as 500m or 100g")
    return int(found[1]) << _UNITS[found[2].lower()]


_READERS: Final = {"size": _bytes, "ratio": _number, "entries": _number}
#: Room for what images are: registries take layers of some 50 GB at most, and trees of a million files are rare.
USUAL: Final = UnpackLimits()
#: For what was made here: a RUN may well write a file of zeros.
NO_LIMITS: Final = UnpackLimits(None, None, None)
