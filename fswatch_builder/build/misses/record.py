"""What is kept of a step beside its key: every input by its name, with a few bytes of its digest.

It takes no part in the decision whether a step is done; that is the key's alone. A value is never kept, whatever it is:
what ENV and ARG hold may be a secret.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from fswatch_builder.build.keys import Inputs, field_digest
from fswatch_builder.build.parts import Part
from fswatch_builder.model.instruction import Copy, Heredoc, Instruction, Run
from fswatch_builder.model.readable import readable

#: Characters of an instruction that are kept, to say what it was.
_LONGEST_TEXT: Final = 4_000
#: Bytes of a digest that are kept: enough to tell two values apart, for a sentence.
_SHORT: Final = 8


class StepRecord(msgspec.Struct, frozen=True, array_like=True):
    """``text`` is the instruction as written, as far as it is kept, ``text_digest`` that of all of it; ``parent`` the
    state below.

    ``inputs``: digests by the names of the key's fields; ``variables`` by theirs; ``parts`` by what people call them,
    with what may be printed of each in ``shown`` and what files they are in ``listings``.
    """

    kind: str
    text: str
    text_digest: bytes
    key: bytes
    parent: str
    inputs: dict[str, bytes]
    variables: dict[str, bytes]
    parts: dict[str, bytes]
    shown: dict[str, str]
    listings: dict[str, bytes]


def recorded(instruction: Instruction, inputs: Inputs, parts: Iterable[Part]) -> StepRecord:
    """The record of a step."""
    text = written(instruction)
    taken = tuple(_apart(parts))
    fields = dict(inputs.fields)
    env = fields.get("env")
    return StepRecord(
        kind=inputs.kind,
        text=readable(text[:_LONGEST_TEXT]),
        text_digest=text_digest(text),
        key=inputs.key.raw,
        parent="" if inputs.parent is None else str(inputs.parent),
        inputs={name: _short(value) for name, value in [*inputs.fields, ("epoch", _number(inputs.epoch))]},
        variables={readable(name): digest for name, digest in _variables(env if isinstance(env, tuple) else ())},
        parts={readable(part.name): part.digest[:_SHORT] for part in taken},
        shown={readable(part.name): readable(part.shown) for part in taken if part.shown},
        listings={readable(part.name): part.listing for part in taken if part.listing},
    )


def written(instruction: Instruction) -> str:
    """An instruction as it stands in the Dockerfile, heredocs included."""
    match instruction:
        case Run(heredocs=heredocs):
            bodies = [heredoc.body for heredoc in heredocs]
        case Copy(sources=sources):
            bodies = [item.body for item in sources if isinstance(item, Heredoc)]
        case _:
            bodies = []
    return "\n".join([instruction.source, *bodies])


def text_digest(text: str) -> bytes:
    """Of an instruction as written."""
    return _short(text)


def _apart(parts: Iterable[Part]) -> Iterator[Part]:
    """Of parts with one name the second gets a number, and so on."""
    seen: dict[str, int] = {}
    for part in parts:
        seen[part.name] = number = seen.get(part.name, 0) + 1
        yield part if number == 1 else Part(f"{part.name} ({number})", part.digest, part.shown, part.listing)


def _variables(env: Iterable[str | bytes]) -> Iterator[tuple[str, bytes]]:
    for entry in env:
        name, _, value = entry.partition("=") if isinstance(entry, str) else entry.decode().partition("=")
        yield name, _short(value)


def _number(value: int | None) -> str | None:
    return None if value is None else str(value)


def _short(value: str | bytes | Iterable[str | bytes] | None) -> bytes:
    return field_digest(value)[:_SHORT]
