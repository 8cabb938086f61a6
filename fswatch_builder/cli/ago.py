"""How long ago something was, in docker's words."""

from datetime import UTC, datetime

MINUTE, HOUR, DAY = 60, 3600, 86400
_UNKNOWN = "N/A"
_FORMAT = "%Y-%m-%d %H:%M:%S %z %Z"
#: Go's zero time: who writes documents with it and knows no time writes that.
_NO_YEAR = 1


def ago(moment: datetime | None, now: datetime) -> str:
    """``3 hours ago``; ``N/A`` where nobody wrote it down. What has yet to come is a moment ago."""
    if moment is None or moment.year == _NO_YEAR:
        return _UNKNOWN
    return f"{_duration(int((now - moment.replace(tzinfo=moment.tzinfo or UTC)).total_seconds()))} ago"


def _duration(seconds: int) -> str:
    """As docker's go-units rounds it."""
    hours = (seconds + HOUR // 2) // HOUR
    if seconds < 1:
        return "Less than a second"
    if seconds < MINUTE:
        return "1 second" if seconds == 1 else f"{seconds} seconds"
    if seconds < HOUR:
        return "About a minute" if seconds < 2 * MINUTE else f"{seconds // MINUTE} minutes"
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    if hours < 24 * 14:
        return f"{hours // 24} days"
    if hours < 24 * 60:
        return f"{hours // 24 // 7} weeks"
    if hours < 24 * 365 * 2:
        return f"{hours // 24 // 30} months"
    return f"{seconds // DAY // 365} years"


def local_time(moment: datetime | None) -> str:
    """``2024-01-02 03:04:05 +0000 UTC``, in the user's time zone, as docker's CreatedAt; ``N/A`` if unknown."""
    if moment is None or moment.year == _NO_YEAR:
        return _UNKNOWN
    known = moment.replace(tzinfo=moment.tzinfo or UTC)
    try:
        return known.astimezone().strftime(_FORMAT)
    except OverflowError:  # the last hours of the year 9999, which are in the next one here
        return known.strftime(_FORMAT)
