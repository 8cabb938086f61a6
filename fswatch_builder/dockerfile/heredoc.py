"""``<<NAME`` in RUN, COPY and ADD: which words open one, under what name, and is its body expanded."""

import re

from msgspec import Struct

from fswatch_builder.dockerfile.expansion import Rules, expansion
from fswatch_builder.errors import DockerfileError

_OPENING = re.compile(r"([0-9]*)<<(-?)[\t\r ]*([^<]*)", re.DOTALL)

# Variables stay as they are, and backslash is the escape even under another escape directive.
_LINE = Rules(keep_unset=True, keep_quotes=True, keep_escapes=True, heredocs=True)
_NAME = Rules(keep_unset=True)
_QUOTED_NAME = Rules(keep_unset=True, keep_quotes=True)


class Opening(Struct, frozen=True):
    """A word that announces a body. ``expand``: no part of the name is quoted. ``chomp``: ``<<-``."""

    name: str
    expand: bool
    chomp: bool
    fd: int


def opening(word: str) -> Opening | None:
    """What a word opens; None for one that opens nothing."""
    match = _OPENING.fullmatch(word)
    if match is None:
        return None
    fd, dash, rest = match.groups()
    if not rest:
        return None
    try:
        name = expansion(rest, {}, _NAME).words
        quoted = expansion(rest, {}, _QUOTED_NAME).words
    except DockerfileError:
        return None  # unbalanced quotes: not a name, and the shell or the path will say so
    if len(name) != 1:
        return None
    return Opening(name[0], name == quoted, dash == "-", int(fd[:9] or 0))


def openings(text: str) -> list[Opening]:
    """All that an instruction's line opens, in order. A line whose quotes do not balance opens none."""
    if "<<" not in text:
        return []
    try:
        words = expansion(_without_shifts(text), {}, _LINE).words
    except DockerfileError:
        return []  # for a RUN that is the shell's matter
    found = (opening(word) for word in words)
    return [one for one in found if one is not None]


def _without_shifts(text: str) -> str:
    """The text without the ``<`` of shell arithmetic: ``$((1 << 2))`` opens nothing."""
    out: list[str] = []
    at = 0
    while (begin := text.find("$((", at)) >= 0 and (end := text.find("))", begin)) >= 0:
        out += [text[at:begin], text[begin:end].replace("<", "")]
        at = end
    return "".join([*out, text[at:]])
