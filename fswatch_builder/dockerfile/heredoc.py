"""``<<NAME`` in RUN, COPY and ADD: which words open one, under what name, and is its body expanded."""

import re
from dataclasses import dataclass

from fswatch_builder.dockerfile.expansion import Rules, expansion
from fswatch_builder.errors import DockerfileError

_OPENING = re.compile(r"([0-9]*)<<(-?)([^<]+)", re.DOTALL)

# Variables stay as they are, and backslash is the escape even under another escape directive.
_BARE = Rules(keep_unset=True)
_RAW = Rules(keep_unset=True, keep_quotes=True, keep_escapes=True)


@dataclass(frozen=True, slots=True)
class Opening:
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
    try:
        bare = expansion(rest, {}, _BARE).words
        raw = expansion(rest, {}, _RAW).words
    except DockerfileError:
        return None  # unbalanced quotes: not a name, and the shell or the path will say so
    if len(bare) != 1:
        return None
    return Opening(bare[0], bare == raw, dash == "-", int(fd[:9] or 0))


def openings(text: str) -> list[Opening]:
    """All that an instruction's line opens, in order. A line whose quotes do not balance opens none."""
    if "<<" not in text:
        return []
    try:
        words = expansion(text, {}, _RAW).words
    except DockerfileError:
        return []  # for a RUN that is the shell's matter
    found = (opening(word) for word in words)
    return [one for one in found if one is not None]
