"""``--flag`` and ``--flag=value`` between an instruction's keyword and its arguments."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from enum import Enum

from msgspec import Struct

from fswatch_builder.dockerfile.lines import SPACES, LogicalLine
from fswatch_builder.errors import DockerfileError
from fswatch_builder.model.instruction import Word


class Kind(Enum):
    """What a flag takes."""

    TEXT = "text"
    BOOL = "bool"
    MANY = "many"  # text, and it may stand several times


_COPY = {"chown": Kind.TEXT, "chmod": Kind.TEXT, "link": Kind.BOOL, "exclude": Kind.MANY}

#: The flags that an instruction has; instructions not named have none.
FLAGS: Mapping[str, Mapping[str, Kind]] = {
    "FROM": {"platform": Kind.TEXT},
    "RUN": {"mount": Kind.MANY, "network": Kind.TEXT, "security": Kind.TEXT, "device": Kind.MANY},
    "COPY": {"from": Kind.TEXT, **_COPY, "parents": Kind.BOOL},
    "ADD": {**_COPY, "checksum": Kind.TEXT, "keep-git-dir": Kind.BOOL, "unpack": Kind.BOOL},
    "HEALTHCHECK": {
        "interval": Kind.TEXT,
        "timeout": Kind.TEXT,
        "start-period": Kind.TEXT,
        "start-interval": Kind.TEXT,
        "retries": Kind.TEXT,
    },
}


class Flags(Struct, frozen=True):
    """The flags of one instruction: name to values, in the order written. A boolean is ``true`` or ``false``."""

    values: Mapping[str, Sequence[Word]]

    def word(self, name: str) -> Word | None:
        """The value of a flag that stands at most once; None for one that is absent."""
        values = self.values.get(name)
        return values[0] if values else None

    def truth(self, name: str) -> bool | None:
        """The value of a boolean; None for one that is absent."""
        word = self.word(name)
        return None if word is None else word.text == "true"

    def texts(self, name: str) -> tuple[str, ...]:
        """The values of a flag that may stand several times."""
        return tuple(word.text for word in self.values.get(name, ()))

    def others(self, *known: str) -> dict[str, tuple[str, ...]]:
        """All but these, as plain text."""
        return {name: tuple(word.text for word in words) for name, words in self.values.items() if name not in known}


def read_flags(line: LogicalLine, start: int, end: int, keyword: str, escape: str) -> tuple[Flags, int]:
    """The flags that begin at ``start``, checked, and where the arguments begin. A lone ``--`` ends the flags."""
    allowed = FLAGS.get(keyword, {})
    values: dict[str, list[Word]] = {}
    at = start
    while True:
        at = _skip_blanks(line.text, at, end)
        if not line.text.startswith("--", at, end):
            return Flags(values), at
        begin = at
        text, at = _flag_text(line.text, begin, end, escape)
        if text == "--":
            return Flags(values), _skip_blanks(line.text, at, end)
        name, equals, value = text[2:].partition("=")
        where = line.at(begin)
        kind = allowed.get(name)
        if kind is None:
            near = get_close_matches(name, allowed, 1)
            hint = f"did you mean --{near[0]}?" if near else None
            raise DockerfileError(f"{keyword}: unknown flag: --{name}", where=where, hint=hint)
        if name in values and kind is not Kind.MANY:
            raise DockerfileError(f"{keyword}: duplicate flag specified: --{name}", where=where)
        if kind is Kind.BOOL:
            if equals and not value:
                raise DockerfileError(f"{keyword}: missing a value on flag: --{name}", where=where)
            value = value.lower() if equals else "true"
            if value not in ("true", "false"):
                raise DockerfileError(
                    f"{keyword}: expecting boolean value for flag --{name}, not: {value}", where=where
                )
        elif not equals:
            raise DockerfileError(f"{keyword}: missing a value on flag: --{name}", where=where)
        # The value's own column is that of the text after the equals sign, unless quotes shift it: then the flag's.
        plain = line.text.startswith(text, begin)
        word = Word(value, line.at(begin + len(name) + 3) if plain and equals and value else where)
        values.setdefault(name, []).append(word)


def _skip_blanks(text: str, at: int, end: int) -> int:
    while at < end and text[at] in SPACES:
        at += 1
    return at


def _flag_text(text: str, at: int, end: int, escape: str) -> tuple[str, int]:
    """One word, quotes and escapes resolved, and where it ends. An escape works within both kinds of quotes."""
    out: list[str] = []
    quote = ""
    while at < end:
        char = text[at]
        if not quote and char in SPACES:
            break
        if char == escape:
            if at + 1 < end:
                out.append(text[at + 1])
            at += 2
            continue
        if quote:
            if char == quote:
                quote = ""
            else:
                out.append(char)
        elif char in "'\"":
            quote = char
        else:
            out.append(char)
        at += 1
    return "".join(out), min(at, end)
