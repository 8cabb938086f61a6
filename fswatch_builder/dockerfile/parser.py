"""A Dockerfile's bytes become instructions."""

import re
from difflib import get_close_matches
from typing import TypeVar, cast

from msgspec import Struct
from msgspec.structs import replace

from fswatch_builder.dockerfile import heredoc
from fswatch_builder.dockerfile.flags import read_flags
from fswatch_builder.dockerfile.instructions import KEYWORDS, instruction
from fswatch_builder.dockerfile.lines import SPACES, LineReader, LogicalLine
from fswatch_builder.dockerfile.lint import Check, Parsed, checks
from fswatch_builder.dockerfile.lint import warnings as lint
from fswatch_builder.dockerfile.statement import Statement
from fswatch_builder.errors import DockerfileError, Location
from fswatch_builder.model.instruction import (
    Arg,
    Dockerfile,
    From,
    Heredoc,
    Instruction,
    Maintainer,
    Onbuild,
    Warning,  # noqa: A004 - the language's own word
)

_KEYWORD = re.compile(r"[^\t\v\f\r ]+")
_NOT_UTF8 = re.compile(r"[\udc80-\udcff]")

#: Paths and commands are bytes. What goes into the image's configuration is JSON, hence UTF-8.
_MAY_HOLD_ANY_BYTES = frozenset({"RUN", "COPY", "ADD"})
_WITH_HEREDOCS = frozenset({"RUN", "COPY", "ADD"})


class ParseError(DockerfileError):
    """Not a Dockerfile. ``warnings``: what the lines before the error gave; they are shown first."""

    def __init__(self, error: DockerfileError, warnings: tuple[Warning, ...]) -> None:
        """From the error as it was raised, which knows its place."""
        super().__init__(error.what, where=error.where, hint=error.hint)
        self.warnings = warnings


def parse(content: bytes, name: str, check: Check | None = None) -> Dockerfile:
    """Reads a whole Dockerfile; ``name`` is for messages, ``check`` goes before the file's check directive.

    Raises :class:`ParseError` with file, line and column.
    """
    parsed: list[Parsed] = []
    wanted = check or Check()
    in_stage = False
    try:
        reader = LineReader(content, name)
        for line in reader:
            if not parsed and check is None:
                wanted = Check.parse(reader.directives.get("check", ""), Location(name, 1))
            statement = _statement(reader, line)
            read = instruction(statement)
            in_stage = in_stage or isinstance(read, From)
            if isinstance(read, Onbuild):
                trigger(read.trigger, read.where)  # told now, and not by the builds that start from the image
            if not in_stage and not isinstance(read, Arg):
                raise statement.wrong(
                    f"no build stage in current context: {statement.keyword} stands before the first FROM"
                )
            parsed.append((statement, read))
        if not parsed:
            raise DockerfileError("the Dockerfile cannot be empty", where=Location(name, 1))
        if not in_stage:
            raise DockerfileError("dockerfile contains no stages to build", where=Location(name, reader.line))
    except DockerfileError as error:
        raise ParseError(error, lint(parsed, wanted)) from None
    instructions = tuple(read for _, read in parsed)
    warnings = lint(parsed, wanted)
    return Dockerfile(name, instructions, reader.escape, reader.directives, warnings, checks(parsed, wanted))


def trigger(text: str, where: Location) -> Instruction:
    """The instruction that an ONBUILD holds, as a stage does it that starts from its image: all of it stands at that
    stage's FROM, ``where``. Raises :class:`DockerfileError`.
    """
    try:
        reader = LineReader(text.encode("utf-8", "replace"), where.file)
        lines = iter(reader)
        line = next(lines, None)
        if line is None:
            raise DockerfileError("it is empty")
        statement = _statement(reader, line)
        read = instruction(statement)
        if isinstance(read, From | Maintainer | Onbuild):
            raise DockerfileError(f"{statement.keyword} isn't allowed as an ONBUILD trigger")
        if next(lines, None) is not None:
            raise DockerfileError("it holds more than one instruction")
    except DockerfileError as error:
        shown = text.partition("\n")[0]
        raise DockerfileError(f"the ONBUILD trigger {shown!r}: {error.what}", where=where, hint=error.hint) from None
    return replace(_moved(read, where), source=f"ONBUILD {read.source}")


_T = TypeVar("_T")


def _moved(value: _T, where: Location) -> _T:
    """The same value, every place in it being ``where``."""
    if isinstance(value, Location):
        return cast("_T", where)
    if isinstance(value, tuple):
        return cast("_T", tuple(_moved(item, where) for item in value))
    if isinstance(value, dict):
        return cast("_T", {name: _moved(item, where) for name, item in value.items()})
    if isinstance(value, Struct):
        return cast("_T", type(value)(*(_moved(getattr(value, name), where) for name in value.__struct_fields__)))
    return value


def _statement(reader: LineReader, line: LogicalLine) -> Statement:
    """Keyword, flags, arguments; reads on in the file where heredocs were opened."""
    text = line.text
    end = len(text.rstrip(SPACES))
    match = _KEYWORD.search(text, 0, end)
    if match is None:
        raise DockerfileError("the escape character continues a line that holds nothing", where=line.at(0))
    spelled = match.group()
    keyword = spelled.upper()
    begin = line.at(match.start())
    if keyword not in KEYWORDS:
        near = get_close_matches(keyword, KEYWORDS, 1)
        hint = f"did you mean {near[0]}?" if near else None
        raise DockerfileError(f"unknown instruction: {spelled}", where=begin, hint=hint)
    if keyword not in _MAY_HOLD_ANY_BYTES and (bad := _NOT_UTF8.search(text)):
        raise DockerfileError(
            f"{keyword} holds a byte that is not UTF-8: {ord(bad.group()) - 0xDC00:#x}", where=line.at(bad.start())
        )
    flags, arguments = read_flags(line, match.end(), end, keyword, reader.escape)
    statement = Statement(spelled, line, begin, flags, arguments, end, reader.escape)
    bodies = tuple(_heredocs(reader, statement))
    return replace(statement, heredocs=bodies, where=replace(begin, end_line=reader.line))


def _heredocs(reader: LineReader, statement: Statement) -> list[Heredoc]:
    keyword = statement.keyword
    if keyword == "ONBUILD":  # the body belongs to the instruction that a child image runs
        words = statement.plain()
        keyword = words[0].text.upper() if words else ""
    if keyword not in _WITH_HEREDOCS or _is_json(statement):
        return []
    return [
        Heredoc(
            opened.name,
            reader.heredoc_body(opened.name, opened.chomp, statement.where),
            opened.expand,
            opened.chomp,
            opened.fd,
        )
        for opened in heredoc.openings(statement.line.text)
    ]


def _is_json(statement: Statement) -> bool:
    try:
        return statement.json() is not None
    except DockerfileError:
        return True  # a JSON array of other things than strings: told when the instruction is read
