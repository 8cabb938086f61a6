"""The build checks of FROM lines: they need the global ARGs, and nothing of a stage."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from fswatch_builder.dockerfile.expansion import Rules, expansion
from fswatch_builder.errors import DockerfileError
from fswatch_builder.model.instruction import (
    Arg,
    Dockerfile,
    From,
    Warning,  # noqa: A004 - the language's own word
    Word,
)
from fswatch_builder.oci.reference import Reference


def from_warnings(
    dockerfile: Dockerfile, global_args: Mapping[str, str], defaults: Mapping[str, str]
) -> tuple[Warning, ...]:
    """``defaults``: what the global ARGs would be without any build argument."""
    declared: dict[str, None] = dict.fromkeys(global_args)
    found: list[tuple[From, Warning]] = []
    in_stage = False
    for one in dockerfile.instructions:
        if isinstance(one, From):
            in_stage = True
            found += ((one, warning) for warning in _undeclared(one, global_args, declared, dockerfile.escape))
            found += ((one, warning) for warning in _without_arguments(one, defaults, dockerfile.escape))
        elif isinstance(one, Arg) and not in_stage:
            declared |= dict.fromkeys(name.text for name, _ in one.items)
    return tuple(warning for one, warning in found if dockerfile.checks.reports(warning.rule, one.where.line))


def _undeclared(
    start: From, global_args: Mapping[str, str], declared: Mapping[str, None], escape: str
) -> Iterator[Warning]:
    for word in (start.base, start.platform):
        for name in _undefined(word, global_args, escape):
            if name not in declared:
                near = get_close_matches(name, declared, 1)
                asked = f" (did you mean {near[0]}?)" if near else ""
                yield Warning("UndefinedArgInFrom", f"FROM argument '{name}' is not declared{asked}", start.where)


def _undefined(word: Word | None, global_args: Mapping[str, str], escape: str) -> tuple[str, ...]:
    if word is None:
        return ()
    try:
        return expansion(word.text, global_args, Rules(escape)).undefined
    except DockerfileError:
        return ()  # the plan tells it as what it is


def _without_arguments(start: From, defaults: Mapping[str, str], escape: str) -> Iterator[Warning]:
    if "$" not in start.base.text:
        return
    try:
        Reference.parse(expansion(start.base.text, defaults, Rules(escape)).text)
    except (ValueError, DockerfileError):
        message = f"Default value for ARG {start.base} results in empty or invalid base image name"
        yield Warning("InvalidDefaultArgInFrom", message, start.base.where)
