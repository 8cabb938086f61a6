"""Short ways to write a Dockerfile in a test and to look at what was read."""

from typing import Any

import pytest

from fswatch_builder.dockerfile import ParseError, parse
from fswatch_builder.model.instruction import Dockerfile


def read(text: str | bytes) -> Dockerfile:
    return parse(text.encode() if isinstance(text, str) else text, "Dockerfile")


def one(kind: type[Any], line: str) -> Any:
    """The instruction that ``line`` is, in a stage."""
    found = read(f"FROM scratch\n{line}\n").instructions[1]
    assert isinstance(found, kind)
    return found


def error(text: str | bytes) -> ParseError:
    with pytest.raises(ParseError) as caught:
        read(text)
    return caught.value


def rules(text: str) -> list[tuple[str, int]]:
    """Warnings as rule and line."""
    return [(warning.rule, warning.where.line) for warning in read(text).warnings]
