"""``--format``: the part of Go's templates that docker's is mostly used for, ``{{.Field}}`` and ``{{json .Field}}``."""

import re
from collections.abc import Mapping
from typing import Final, Self

from msgspec import Struct

from fswatch_builder.cli.printable import json_text, printable_name
from fswatch_builder.errors import UsageError

_ACTION: Final = re.compile(r"\{\{(.*?)\}\}")
_FIELD: Final = re.compile(r"\s*(json\s+)?\.((?:[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*)?)\s*")
_ESCAPES: Final = {r"\t": "\t", r"\n": "\n"}


class Field(Struct, frozen=True):
    """A place in a document: the names that lead there. ``as_json``: its value is written as JSON."""

    path: tuple[str, ...]
    as_json: bool


class Template(Struct, frozen=True):
    """Text with fields in it."""

    pieces: tuple[str | Field, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        r"""From what the user gave; ``\t`` and ``\n`` in it are a tab and a new line. Raises UsageError."""
        for escape, character in _ESCAPES.items():
            text = text.replace(escape, character)
        pieces: list[str | Field] = []
        at = 0
        for action in _ACTION.finditer(text):
            field = _FIELD.fullmatch(action[1])
            if field is None:
                raise UsageError(
                    f"--format: {action[0]} is not supported",
                    hint="{{.Field}} and {{json .Field}} are; for more, use --format json and jq",
                )
            pieces += [text[at : action.start()], Field(tuple(filter(None, field[2].split("."))), bool(field[1]))]
            at = action.end()
        if "{{" in text[at:]:
            raise UsageError(f"--format: {text[at:]!r} has no }}}} at its end", hint="a field is written {{.Field}}")
        return cls((*pieces, text[at:]))

    def render(self, document: Mapping[str, object]) -> str:
        """With the values of a document. Raises UsageError for a field that it does not have."""
        return "".join(piece if isinstance(piece, str) else _value(piece, document) for piece in self.pieces)


def _value(field: Field, document: Mapping[str, object]) -> str:
    value: object = document
    for depth, name in enumerate(field.path):
        if not isinstance(value, Mapping) or name not in value:
            known = sorted(value) if isinstance(value, Mapping) else []
            above = "".join(f".{part}" for part in field.path[:depth])
            raise UsageError(
                f"--format: there is no {above}.{name}", hint=f"there are {', '.join(known)}" if known else None
            )
        value = value[name]
    if isinstance(value, str) and not field.as_json:
        return printable_name(value)
    return json_text(value)
