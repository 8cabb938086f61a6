"""``HEALTHCHECK``: its options are durations as Go writes them."""

import re
from typing import Final

from fswatch_builder.dockerfile.statement import Statement
from fswatch_builder.dockerfile.words import json_words
from fswatch_builder.errors import DockerfileError
from fswatch_builder.model.instruction import Healthcheck, Word

_UNITS_NS: Final = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,  # micro sign
    "\u03bcs": 1_000,  # Greek mu
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_UNITS: Final = "|".join(sorted(_UNITS_NS, key=len, reverse=True))
_PART: Final = re.compile(rf"([0-9]*)(?:\.([0-9]*))?({_UNITS})")
_KIND: Final = re.compile(r"[^\t\v\f\r ]+[\t\v\f\r ]+")
_INTEGER: Final = re.compile(r"[+-]?[0-9]+")

#: A duration is a signed 64-bit number of nanoseconds in every engine that reads an image.
_LARGEST_NS: Final = 2**63 - 1
_LARGEST_RETRIES: Final = 2**31 - 1
#: Engines refuse shorter ones.
_SHORTEST_NS: Final = 1_000_000


def duration_ns(text: str) -> int:
    """``1h2m3.5s``, ``-5s``, ``0``: in nanoseconds. Raises ValueError."""
    sign = -1 if text.startswith("-") else 1
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return 0
    total = at = 0
    while at < len(rest):
        match = _PART.match(rest, at)
        if match is None or not (match.group(1) or match.group(2)):
            raise ValueError(f'invalid duration "{text}"')
        whole, fraction, unit = match.groups()
        scale = _UNITS_NS[unit]
        total += int(whole or 0) * scale
        if fraction:
            total += int(fraction) * scale // 10 ** len(fraction)
        at = match.end()
    if not rest or total > _LARGEST_NS:
        raise ValueError(f'invalid duration "{text}"')
    return sign * total


def read_healthcheck(statement: Statement) -> Healthcheck:
    """Raises :class:`DockerfileError` with the place of the word that is wrong."""
    words = statement.plain()
    if not words:
        raise statement.wrong("HEALTHCHECK requires at least one argument")
    text = statement.line.text
    kind = words[0].text.upper()
    if kind == "NONE":
        if len(words) > 1:
            raise statement.wrong("HEALTHCHECK NONE takes no arguments", words[1])
        return Healthcheck(statement.where, statement.source, None)
    if kind != "CMD":
        raise statement.wrong(f'unknown type "{kind}" in HEALTHCHECK (try CMD)', words[0])
    begins = _KIND.match(text, statement.begin, statement.end)
    begin = begins.end() if begins else statement.end
    strings = json_words(statement.line, begin, statement.end)
    if begin == statement.end or strings == []:
        raise statement.wrong("missing command after HEALTHCHECK CMD", words[0])
    return Healthcheck(
        statement.where,
        statement.source,
        form="shell" if strings is None else "exec",
        argv=(text[begin : statement.end],) if strings is None else tuple(word.text for word in strings),
        interval_ns=_interval(statement, "interval"),
        timeout_ns=_interval(statement, "timeout"),
        start_period_ns=_interval(statement, "start-period"),
        start_interval_ns=_interval(statement, "start-interval"),
        retries=_retries(statement),
    )


def _interval(statement: Statement, flag: str) -> int:
    word = statement.flags.word(flag)
    if word is None or not word.text:
        return 0
    try:
        found = duration_ns(word.text)
    except ValueError as error:
        raise _wrong(
            statement, f"--{flag}: {error}", word, "numbers with the units h, m, s, ms, us, ns, such as 1m30s"
        ) from None
    if found and found < _SHORTEST_NS:
        raise _wrong(statement, f"--{flag}={word} cannot be less than 1ms", word, "0 takes the default")
    return found


def _retries(statement: Statement) -> int:
    word = statement.flags.word("retries")
    if word is None or not word.text:
        return 0
    # Python refuses to convert thousands of digits.
    if not _INTEGER.fullmatch(word.text) or len(word.text) > 100 or int(word.text) > _LARGEST_RETRIES:
        raise _wrong(statement, f"--retries={word} is not a number of retries", word, "0 takes the default")
    if int(word.text) < 0:
        raise _wrong(statement, f"--retries cannot be negative ({int(word.text)})", word, "0 takes the default")
    return int(word.text)


def _wrong(statement: Statement, what: str, word: Word, hint: str) -> DockerfileError:
    return DockerfileError(f"{statement.keyword} {what}", where=word.where, hint=hint)
