"""The build checks that need nothing but the file's text: rule names and messages are those users know from BuildKit.

Rules that need values of variables are in build/checks.py and build/from_checks.py.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Self

from msgspec import Struct

from fswatch_builder.dockerfile.statement import Statement
from fswatch_builder.errors import DockerfileError, Location
from fswatch_builder.model.instruction import (
    Arg,
    Checks,
    Env,
    From,
    Instruction,
    Label,
    Warning,  # noqa: A004 - the language's own word
)
from fswatch_builder.model.platform import Platform

Parsed = tuple[Statement, Instruction]

_SECRET = re.compile(
    r"(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)", re.IGNORECASE
)
_PUBLIC = re.compile(r"(?:_|^)(?:public|file|version)(?:_|$)", re.IGNORECASE)
_MUTED = re.compile(r"check\s*=\s*skip\s*=(.*)", re.IGNORECASE)
_CHECK_HINT = "options are skip=RULE,... or skip=all, error=true or false, experimental=RULE,..., joined by ;"


class Check(Struct, frozen=True):
    """``# check=skip=A,B;error=true``: rules not to report, and whether a finding fails the build."""

    skip: frozenset[str] = frozenset()
    error: bool = False
    experimental: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: str, where: Location | None = None) -> Self:
        """From the directive's value, or that of the build argument BUILDKIT_DOCKERFILE_CHECK."""
        skip: frozenset[str] = frozenset()
        experimental: frozenset[str] = frozenset()
        error = False
        for option in filter(None, (part.strip() for part in text.split(";"))):
            key, _, value = (part.strip() for part in option.partition("="))
            if key == "skip":
                skip = _names(value)
            elif key == "experimental":
                experimental = _names(value)
            elif key == "error" and value.lower() in ("true", "false"):
                error = value.lower() == "true"
            else:
                raise DockerfileError(f"check: cannot use {option!r}", where=where, hint=_CHECK_HINT)
        return cls(skip, error, experimental)

    def reports(self, rule: str) -> bool:
        """Whether findings of this rule are wanted."""
        if rule in _EXPERIMENTAL and not self.experimental & {"all", rule}:
            return False
        return not self.skip & {"all", rule}


def _names(text: str) -> frozenset[str]:
    return frozenset(filter(None, (name.strip() for name in text.split(","))))


def warnings(parsed: Sequence[Parsed], check: Check) -> tuple[Warning, ...]:
    """All findings by place. A ``# check=skip=`` comment right above an instruction covers it alone."""
    found = [
        warning
        for rule in _RULES
        for statement, warning in rule(parsed)
        if check.reports(warning.rule) and not _muted(statement) & {"all", warning.rule}
    ]
    return tuple(sorted(found, key=lambda one: (one.where.line, one.where.column, one.rule)))


def checks(parsed: Sequence[Parsed], check: Check) -> Checks:
    """The same for rules that others look after."""
    muted = {statement.where.line: _muted(statement) for statement, _ in parsed}
    return Checks(check.skip, {line: rules for line, rules in muted.items() if rules}, check.error)


def _muted(statement: Statement) -> frozenset[str]:
    matches = (_MUTED.fullmatch(comment) for comment in statement.line.comments)
    return frozenset().union(*(_names(match.group(1)) for match in matches if match))


Finding = tuple[Statement, Warning]


def _finding(statement: Statement, rule: str, message: str, where: Location | None = None) -> Finding:
    return statement, Warning(rule, message, where or statement.where)


def _empty_continuation(parsed: Sequence[Parsed]) -> Iterator[Finding]:
    for statement, _ in parsed:
        if statement.line.blank:
            yield _finding(statement, "NoEmptyContinuation", "Empty continuation line", statement.line.blank)


def _instruction_casing(parsed: Sequence[Parsed]) -> Iterator[Finding]:
    spelled = [statement.spelled for statement, _ in parsed]
    lower = sum(word.islower() for word in spelled)
    upper = sum(word.isupper() for word in spelled)
    majority = "lowercase" if lower > upper else "uppercase"
    for statement, _ in parsed:
        word = statement.spelled
        if word != (word.lower() if lower > upper else word.upper()):
            message = f"Command '{word}' should match the case of the command majority ({majority})"
            yield _finding(statement, "ConsistentInstructionCasing", message)


def _stage_names(parsed: Sequence[Parsed]) -> Iterator[Finding]:
    seen: set[str] = set()
    for statement, instruction in parsed:
        if not isinstance(instruction, From) or instruction.name is None:
            continue
        _, keyword, name = statement.plain()
        if keyword.text.islower() != statement.spelled.islower():
            message = f"'{keyword}' and '{statement.spelled}' keywords' casing do not match"
            yield _finding(statement, "FromAsCasing", message, keyword.where)
        if name.text != instruction.name:
            yield _finding(statement, "StageNameCasing", f"Stage name '{name}' should be lowercase", name.where)
        if instruction.name in ("scratch", "context"):
            message = f'Stage name should not use the same name as reserved stage "{instruction.name}"'
            yield _finding(statement, "ReservedStageName", message, name.where)
        if instruction.name in seen:
            message = f'Duplicate stage name "{name}", stage names should be unique'
            yield _finding(statement, "DuplicateStageName", message, name.where)
        seen.add(instruction.name)


def _overridden(parsed: Sequence[Parsed]) -> Iterator[Finding]:
    """Found at the earlier instruction: it is the one without effect."""
    earlier: dict[str, Statement] = {}
    for statement, instruction in parsed:
        keyword = statement.keyword
        if isinstance(instruction, From):
            earlier.clear()
        elif keyword in ("CMD", "ENTRYPOINT", "HEALTHCHECK"):
            if keyword in earlier:
                message = (
                    f"Multiple {keyword} instructions should not be used in the same stage "
                    "because only the last one will be used"
                )
                yield _finding(earlier[keyword], "MultipleInstructionsDisallowed", message)
            earlier[keyword] = statement


def _maintainer(parsed: Sequence[Parsed]) -> Iterator[Finding]:
    for statement, _ in parsed:
        if statement.keyword == "MAINTAINER":
            message = "Maintainer instruction is deprecated in favor of using label"
            yield _finding(statement, "MaintainerDeprecated", message)


def _legacy(parsed: Sequence[Parsed]) -> Iterator[Finding]:
    for statement, instruction in parsed:
        if isinstance(instruction, Env | Label) and instruction.legacy:
            keyword = statement.keyword
            message = f'"{keyword} key=value" should be used instead of legacy "{keyword} key value" format'
            yield _finding(statement, "LegacyKeyValueFormat", message)


def _secrets(parsed: Sequence[Parsed]) -> Iterator[Finding]:
    for statement, instruction in parsed:
        if isinstance(instruction, Arg | Env):
            for name, _ in instruction.items:
                if _SECRET.search(name.text) and not _PUBLIC.search(name.text):
                    message = f'Do not use ARG or ENV instructions for sensitive data ({statement.keyword} "{name}")'
                    yield _finding(statement, "SecretsUsedInArgOrEnv", message, name.where)


def _platform(parsed: Sequence[Parsed]) -> Iterator[Finding]:
    for statement, instruction in parsed:
        if not isinstance(instruction, From) or instruction.platform is None:
            continue
        text, where = instruction.platform.text, instruction.platform.where
        if text in ("$TARGETPLATFORM", "${TARGETPLATFORM}"):
            message = f"Setting platform to predefined {text} in FROM is redundant as this is the default behavior"
            yield _finding(statement, "RedundantTargetPlatform", message, where)
        elif "$" not in text and not _says_platform(instruction.name or "", text):
            message = f'FROM --platform flag should not use constant value "{text}"'
            yield _finding(statement, "FromPlatformFlagConstDisallowed", message, where)


def _says_platform(name: str, text: str) -> bool:
    """A stage whose name says what it is for means it."""
    try:
        platform = Platform.parse(text)
    except ValueError:
        return True  # told when the stages are resolved
    return platform.os in name or platform.architecture in name


def _descriptions(parsed: Sequence[Parsed]) -> Iterator[Finding]:
    for statement, instruction in parsed:
        match instruction:
            case From(name=str(name), comments=(*_, comment)):
                names = [name]
            case Arg(items=items, comments=(*_, comment)):
                names = [name.text for name, _ in items]
            case _:
                continue
        if comment.split(" ")[0] not in names and not _MUTED.fullmatch(comment):
            shown = names[0] if len(names) == 1 else "<arg_key>"
            message = f"Comment for {statement.keyword} should follow the format: `# {shown} <description>`"
            yield _finding(statement, "InvalidDefinitionDescription", message)


_RULES = (
    _empty_continuation,
    _instruction_casing,
    _stage_names,
    _overridden,
    _maintainer,
    _legacy,
    _secrets,
    _platform,
    _descriptions,
)

#: Rules that are silent unless they are asked for.
_EXPERIMENTAL = frozenset({"InvalidDefinitionDescription"})
