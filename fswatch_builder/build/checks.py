"""The build checks that need variables: rule names and messages are those users know from BuildKit.

The checks of the text alone are in dockerfile/lint.py.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from posixpath import normpath

from fswatch_builder._native import IgnorePatterns
from fswatch_builder.build.state import StageState
from fswatch_builder.dockerfile.expansion import Rules, expand_word, expansion
from fswatch_builder.errors import DockerfileError
from fswatch_builder.model.instruction import (
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    Heredoc,
    Instruction,
    Label,
    Run,
    Stopsignal,
    User,
    Volume,
    Warning,  # noqa: A004 - the language's own word
    Word,
    Workdir,
)
from fswatch_builder.model.plan import Plan

#: Patterns that leave nothing of the context.
_EVERYTHING = frozenset({b"*", b"**", b"**/*"})


def warnings(instruction: Instruction, state: StageState, plan: Plan) -> list[Warning]:
    """What is odd about ``instruction`` in this state of its stage. Raises DockerfileError for a wrong expansion."""
    variables = state.scope.variables
    try:
        found = _undefined_names(instruction, state, plan)
        match instruction:
            case Expose(ports=words):
                for word in words:
                    for text in expand_word(word, variables, plan.escape).words:
                        found += _odd_port(text, word)
            case Workdir(path=word) if not state.workdir_set:
                found += _relative(state.word(word, plan.escape), word)
            case Cmd(form="shell") | Entrypoint(form="shell") if not state.config.shell:
                found.append(_not_json(instruction))
            case _:
                pass
    except DockerfileError as error:
        raise error.at(instruction.where) from error
    return found


def copied_although_ignored(
    instruction: Copy, state: StageState, plan: Plan, patterns: Sequence[bytes]
) -> list[Warning]:
    """Sources in the build context that its ignore file hides. With a ``!`` among its patterns nobody knows before the
    context is read.
    """
    if instruction.stage is not None or not patterns or any(pattern.startswith(b"!") for pattern in patterns):
        return []
    excluded = IgnorePatterns(patterns)
    found: list[Warning] = []
    for word in instruction.sources:
        if not isinstance(word, Word) or "://" in word.text:
            continue
        path = normpath("/" + state.word(word, plan.escape).lstrip("/")).removeprefix("/")
        if excluded.matches(os.fsencode(path)) if path else _EVERYTHING.intersection(patterns):
            verb = "Add" if instruction.add else "Copy"
            message = f'Attempting to {verb} file "{path or "."}" that is excluded by .dockerignore'
            found.append(Warning("CopyIgnoredFile", message, word.where))
    return found


def _undefined_names(instruction: Instruction, state: StageState, plan: Plan) -> list[Warning]:
    """An ARG without a value is declared, so nobody forgot it."""
    variables = state.scope.variables
    if isinstance(instruction, Arg):
        names = _of_defaults(instruction, variables, plan)
    else:
        names = chain(_of_words(instruction, variables, plan.escape), _of_bodies(instruction, variables))
    return [
        _undefined(name, variables, instruction) for name in dict.fromkeys(names) if name not in state.scope.declared
    ]


def _relative(path: str, word: Word) -> Iterator[Warning]:
    if not path.startswith("/"):
        message = f'Relative workdir "{path}" can have unexpected results if the base image changes'
        yield Warning("WorkdirRelativePath", message, word.where)


def _not_json(instruction: Instruction) -> Warning:
    keyword = type(instruction).__name__.upper()
    message = f"JSON arguments recommended for {keyword} to prevent unintended behavior related to OS signals"
    return Warning("JSONArgsRecommended", message, instruction.where)


def _odd_port(text: str, word: Word) -> Iterator[Warning]:
    if ":" in text:
        message = f"EXPOSE instruction should not define an IP address or host-port mapping, found '{text}'"
        yield Warning("ExposeInvalidFormat", message, word.where)
    protocol = text.partition("/")[2]
    if protocol != protocol.lower():
        message = f"Defined protocol '{text}' in EXPOSE instruction should be lowercase"
        yield Warning("ExposeProtoCasing", message, word.where)


def _undefined(name: str, variables: Mapping[str, str], instruction: Instruction) -> Warning:
    from difflib import get_close_matches

    near = get_close_matches(name, variables, n=1)
    asked = f" (did you mean ${near[0]}?)" if near else ""
    return Warning("UndefinedVar", f"Usage of undefined variable '${name}'{asked}", instruction.where)


def _of_defaults(instruction: Arg, variables: Mapping[str, str], plan: Plan) -> Iterator[str]:
    """An item sees those to its left; the default of one that was given a value is not looked at."""
    seen = dict(variables)
    for name, default in instruction.items:
        if name.text in plan.build_args:
            seen[name.text] = plan.build_args[name.text]
        elif default is not None:
            result = expand_word(default, seen, plan.escape)
            yield from result.undefined
            seen[name.text] = result.text


def _of_words(instruction: Instruction, variables: Mapping[str, str], escape: str) -> Iterator[str]:
    for word in _expanded(instruction):
        yield from expand_word(word, variables, escape).undefined


def _expanded(instruction: Instruction) -> Iterator[Word]:
    """The words in which variables are replaced."""
    match instruction:
        case Env(items=items) | Label(items=items):
            for name, value in items:
                yield from (name, value)
        case Copy(sources=sources, dest=dest, chown=chown, chmod=chmod, checksum=checksum):
            yield from (source for source in sources if isinstance(source, Word))
            yield from (word for word in (dest, chown, chmod, checksum) if word is not None)
        case Workdir(path=word) | User(name=word) | Stopsignal(signal=word):
            yield word
        case Run(mounts=mounts):
            yield from mounts
        case Volume(paths=words) | Expose(ports=words):
            yield from words
        case _:
            pass


def _of_bodies(instruction: Instruction, variables: Mapping[str, str]) -> Iterator[str]:
    if isinstance(instruction, Copy):
        for item in instruction.sources:
            if isinstance(item, Heredoc) and item.expand:
                yield from expansion(item.body, variables, Rules(quotes=False)).undefined
