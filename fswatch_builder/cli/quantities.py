"""Amounts of bytes and of time as docker's options take them."""

import re
from datetime import UTC, datetime
from typing import Final

from fswatch_builder.errors import UsageError
from fswatch_builder.model.quantity import bytes_of

_DURATION: Final = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|[smhdw]))+")
_PART: Final = re.compile(r"([0-9.]+)(ms|[smhdw])")
_SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def size(option: str, text: str) -> int:
    """Bytes, of ``10GB``, ``512m``, ``1.5g``, ``1024``. As with docker, k is 1024. Raises UsageError."""
    try:
        return bytes_of(text.strip())
    except ValueError:
        raise UsageError(f"{option} {text}: not an amount of bytes", hint="such as 512MB or 10GB") from None


def moment(option: str, text: str, now: float) -> float:
    """Seconds since the epoch, of an age (``24h``, ``1h30m``, ``7d``) or a time (RFC 3339, a date, such seconds).

    A time without a zone is UTC. ``option`` is what is in front of it, for the UsageError that says it is neither.
    """
    if _DURATION.fullmatch(text):
        return now - sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return float(text)
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{option}{text}: neither an age nor a time", hint="such as 24h, 7d or 2026-01-31T12:00:00Z"
        ) from None
    return (when if when.tzinfo is not None else when.replace(tzinfo=UTC)).timestamp()
