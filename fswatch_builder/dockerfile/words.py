"""Splitting a logical line: between blanks, between blanks outside quotes, and the JSON form."""

import json
import re

from fswatch_builder.dockerfile.lines import SPACES, LogicalLine
from fswatch_builder.errors import DockerfileError
from fswatch_builder.model.instruction import Word

# A line holds no \n, and these are the blanks that separate an instruction's plain words.
_WORD = re.compile(r"[^\t\v\f\r ]+")
_JSON_SPACE = re.compile(r"[ \t\n\r]*")
_JSON_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*"')
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_SURROGATES = re.compile(r"([\ud800-\udfff]+)")


def plain_words(line: LogicalLine, start: int, end: int) -> list[Word]:
    """Between blanks; quotes and escapes mean nothing."""
    return [line.word(*match.span()) for match in _WORD.finditer(line.text, start, end)]


def quoted_spans(text: str, start: int, end: int, escape: str) -> list[tuple[int, int]]:
    """Between blanks outside quotes, as offsets. Quotes and escapes stay in; a last lone escape is dropped."""
    spans: list[tuple[int, int]] = []
    begin: int | None = None
    quote = ""
    at = start
    while at < end:
        char = text[at]
        if not quote and char in SPACES:
            if begin is not None:
                spans.append((begin, at))
                begin = None
            at += 1
            continue
        if begin is None:
            begin = at
        if char == escape and quote != "'":
            if at + 1 == end:
                end = at
                break
            at += 2
            continue
        if quote:
            if char == quote:
                quote = ""
        elif char in "'\"":
            quote = char
        at += 1
    if begin is not None and begin < end:
        spans.append((begin, end))
    return spans


def json_words(line: LogicalLine, start: int, end: int) -> list[Word] | None:
    """The strings of a JSON array, or None where the text is no JSON array: then it is the other form, silently.

    Raises :class:`DockerfileError` for a valid array that holds anything but strings.
    """
    text = line.text
    at = _skip(text, start, end)
    if not text.startswith("[", at):
        return None
    words: list[Word] = []
    at = _skip(text, at + 1, end)
    if not text.startswith("]", at):
        while True:
            match = _JSON_STRING.match(text, at, end)
            if match is None:
                _refuse_other_array(line, start, end)
                return None
            words.append(Word(_json_text(match.group()), line.at(at)))
            at = _skip(text, match.end(), end)
            if text.startswith("]", at):
                break
            if not text.startswith(",", at):
                _refuse_other_array(line, start, end)
                return None
            at = _skip(text, at + 1, end)
    return words if _skip(text, at + 1, end) == end else None


def _skip(text: str, at: int, end: int) -> int:
    match = _JSON_SPACE.match(text, at, end)
    return match.end() if match else at


def _json_text(literal: str) -> str:
    # A byte that was not UTF-8 stands in the literal as a surrogate (PEP 383) and stays. Half a surrogate pair written
    # as an escape names no character and must not pass for such a byte.
    return "".join(
        _SURROGATE.sub("\ufffd", json.loads(f'"{part}"')) if "\\" in part else part
        for part in _SURROGATES.split(literal[1:-1])
    )


def _refuse_other_array(line: LogicalLine, start: int, end: int) -> None:
    try:
        value = json.loads(line.text[start:end], parse_int=str, parse_float=str, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return
    if isinstance(value, list):
        raise DockerfileError(
            "when using JSON array syntax, arrays must be comprised of strings only", where=line.at(start)
        )


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
