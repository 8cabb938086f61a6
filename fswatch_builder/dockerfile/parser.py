"""A Dockerfile's bytes become instructions."""

import re
from dataclasses import replace
from difflib import get_close_matches

from fswatch_builder.dockerfile import heredoc
from fswatch_builder.dockerfile.flags import read_flags
from fswatch_builder.dockerfile.instructions import KEYWORDS, Statement, instruction
from fswatch_builder.dockerfile.lines import SPACES, LineReader, LogicalLine
from fswatch_builder.dockerfile.lint import Check, Parsed, checks
from fswatch_builder.dockerfile.lint import warnings as lint
from fswatch_builder.errors import DockerfileError, Location
from fswatch_builder.model.instruction import (
    Arg,
    Dockerfile,
    From,
    Heredoc,
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


def parse(content: bytes, name: str) -> Dockerfile:
    """Reads a whole Dockerfile; ``name`` is for messages. Raises :class:`ParseError` with file, line and column."""
    parsed: list[Parsed] = []
    check = Check()
    in_stage = False
    try:
        reader = LineReader(content, name)
        for line in reader:
            if not parsed:
                check = Check.parse(reader.directives.get("check", ""), Location(name, 1))
            statement = _statement(reader, line)
            read = instruction(statement)
            in_stage = in_stage or isinstance(read, From)
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
        raise ParseError(error, lint(parsed, check)) from None
    warnings = lint(parsed, check)
    if check.error and warnings:
        rules = ", ".join(sorted({warning.rule for warning in warnings}))
        violation = DockerfileError(f"lint violation found for rules: {rules}", where=warnings[0].where)
        raise ParseError(violation, warnings)
    instructions = tuple(read for _, read in parsed)
    return Dockerfile(name, instructions, reader.escape, reader.directives, warnings, checks(parsed, check))


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
