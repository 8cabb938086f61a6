"""One logical line becomes one instruction: what each keyword takes."""

import re
from collections.abc import Callable, Mapping

from fswatch_builder.dockerfile import heredoc
from fswatch_builder.dockerfile.healthcheck import read_healthcheck
from fswatch_builder.dockerfile.lines import SPACES
from fswatch_builder.dockerfile.statement import Statement
from fswatch_builder.errors import DockerfileError
from fswatch_builder.model.instruction import (
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    Form,
    From,
    Heredoc,
    Instruction,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    Stopsignal,
    User,
    Volume,
    Word,
    Workdir,
)

_STAGE_NAME = re.compile(r"[a-z][a-z0-9-_.]*")
_LONE_REDIRECTION = re.compile(r"[0-9]*<<-?")
_BLANKS = re.compile(r"[\t\v\f\r ]+")


def instruction(statement: Statement) -> Instruction:
    """The statement as a value. Raises :class:`DockerfileError` if its arguments do not fit its keyword."""
    return _READERS[statement.keyword](statement)


def _from(statement: Statement) -> From:
    words = statement.plain()
    if len(words) not in (1, 3) or (len(words) == 3 and words[1].text.upper() != "AS"):
        raise statement.wrong("FROM requires either one or three arguments")
    name = None
    if len(words) == 3:
        name = words[2].text.lower()
        if not _STAGE_NAME.fullmatch(name):
            raise statement.wrong(
                f'invalid name for build stage: "{words[2]}", name can\'t start with a number or contain symbols',
                words[2],
            )
    platform = statement.flags.word("platform")
    return From(statement.where, statement.source, words[0], name, platform, statement.line.comments)


def _arg(statement: Statement) -> Arg:
    items: list[tuple[Word, Word | None]] = []
    for start, end in statement.quoted():
        pair = _pair(statement, start, end)
        items.append(pair or (statement.line.word(start, end), None))
    if not items:
        raise statement.wrong("ARG requires at least one argument")
    return Arg(statement.where, statement.source, tuple(items), statement.line.comments)


def _env(statement: Statement) -> Env:
    return Env(statement.where, statement.source, *_pairs(statement))


def _label(statement: Statement) -> Label:
    return Label(statement.where, statement.source, *_pairs(statement))


def _pairs(statement: Statement) -> tuple[tuple[tuple[Word, Word], ...], bool]:
    """The pairs, and whether they are one in the legacy form: ``NAME VALUE``, the value reaching to the line's end."""
    line = statement.line
    spans = statement.quoted()
    if not spans:
        raise statement.wrong(f"{statement.keyword} requires at least one argument")
    if "=" not in line.text[slice(*spans[0])]:
        blanks = _BLANKS.search(line.text, statement.begin, statement.end)
        if blanks is None:
            raise statement.wrong(f"{statement.keyword} must have two arguments", line.word(*spans[0]))
        return ((line.word(statement.begin, blanks.start()), line.word(blanks.end(), statement.end)),), True
    items: list[tuple[Word, Word]] = []
    for start, end in spans:
        pair = _pair(statement, start, end)
        if pair is None:
            word = line.word(start, end)
            raise statement.wrong(f'can\'t find = in "{word}": must be of the form name=value', word)
        items.append(pair)
    return tuple(items), False


def _pair(statement: Statement, start: int, end: int) -> tuple[Word, Word] | None:
    """``NAME=VALUE``; None where no equals sign is."""
    line = statement.line
    equals = line.text.find("=", start, end)
    if equals < 0:
        return None
    if equals == start:
        raise statement.wrong(f"{statement.keyword} names can not be blank", line.word(start, end))
    return line.word(start, equals), line.word(equals + 1, end)


def _run(statement: Statement) -> Run:
    form, argv = _command(statement)
    if form == "exec" and not argv:
        raise statement.wrong("RUN requires at least one argument")
    flags = statement.flags
    return Run(
        statement.where,
        statement.source,
        form,
        argv,
        statement.heredocs,
        mounts=tuple(flags.values.get("mount", ())),
        network=flags.word("network"),
        security=flags.word("security"),
        flags=flags.others("mount", "network", "security"),
    )


def _cmd(statement: Statement) -> Cmd:
    return Cmd(statement.where, statement.source, *_command(statement))


def _entrypoint(statement: Statement) -> Entrypoint:
    return Entrypoint(statement.where, statement.source, *_command(statement))


def _command(statement: Statement) -> tuple[Form, tuple[str, ...]]:
    words = statement.json()
    if words is None:
        return "shell", (statement.rest,)
    return "exec", tuple(word.text for word in words)


def _copy(statement: Statement) -> Copy:
    keyword = statement.keyword
    words = statement.json()
    is_json = words is not None
    if words is None:
        words = statement.plain()
    if len(words) < 2:
        provided = "only one was" if words else "none were"
        raise statement.wrong(
            f"{keyword} requires at least two arguments, but {provided} provided. Destination could not be determined"
        )
    if not is_json:
        words = _joined(words)
    *sources, dest = words
    if not is_json and heredoc.opening(dest.text):
        raise statement.wrong(f"{keyword} cannot accept a heredoc as a destination", dest)
    stage = statement.flags.word("from")
    if stage and "$" in stage.text:
        raise DockerfileError(
            "variable expansion is not supported for --from",
            where=stage.where,
            hint="define a new stage with FROM using ARG from global scope as a workaround",
        )
    return Copy(
        statement.where,
        statement.source,
        add=keyword == "ADD",
        sources=tuple(sources if is_json else _sources(statement, sources)),
        dest=dest,
        stage=(stage.text or None) if stage else None,
        chown=statement.flags.word("chown"),
        chmod=statement.flags.word("chmod"),
        exclude=statement.flags.texts("exclude"),
        link=statement.flags.truth("link"),
        parents=statement.flags.truth("parents"),
        unpack=statement.flags.truth("unpack"),
        keep_git_dir=statement.flags.truth("keep-git-dir"),
        checksum=statement.flags.word("checksum"),
    )


def _joined(words: list[Word]) -> list[Word]:
    """A lone ``<<`` takes the next word, its name."""
    out: list[Word] = []
    for word in words:
        if out and _LONE_REDIRECTION.fullmatch(out[-1].text):
            out[-1] = Word(out[-1].text + word.text, out[-1].where)
        else:
            out.append(word)
    return out


def _sources(statement: Statement, words: list[Word]) -> list[Word | Heredoc]:
    """The sources, a heredoc's word replaced by the heredoc. The bodies come in the order of the words."""
    bodies = iter(statement.heredocs)
    sources: list[Word | Heredoc] = []
    for word in words:
        opened = heredoc.opening(word.text)
        if opened is None:
            sources.append(word)
            continue
        body = next((one for one in bodies if one.name == opened.name), None)
        if body is None:
            raise statement.wrong(f"the heredoc {word} has no body", word)
        if "/" in body.name or body.name in (".", ".."):
            raise statement.wrong(f"a heredoc's name is the file's name, so it cannot be {body.name}", word)
        sources.append(body)
    return sources


def _workdir(statement: Statement) -> Workdir:
    return Workdir(statement.where, statement.source, _only(statement))


def _user(statement: Statement) -> User:
    return User(statement.where, statement.source, _only(statement))


def _stopsignal(statement: Statement) -> Stopsignal:
    return Stopsignal(statement.where, statement.source, _only(statement))


def _only(statement: Statement) -> Word:
    """The one argument: the rest of the line, blanks included."""
    if statement.begin == statement.end:
        raise statement.wrong(f"{statement.keyword} requires exactly one argument")
    return statement.line.word(statement.begin, statement.end)


def _expose(statement: Statement) -> Expose:
    ports = statement.plain()
    if not ports:
        raise statement.wrong("EXPOSE requires at least one argument")
    return Expose(statement.where, statement.source, tuple(ports))


def _volume(statement: Statement) -> Volume:
    words = statement.json()
    if words is None:
        words = statement.plain()
    if not words:
        raise statement.wrong("VOLUME requires at least one argument")
    for word in words:
        if not word.text.strip(SPACES):
            raise statement.wrong("VOLUME specified can not be an empty string", word)
    return Volume(statement.where, statement.source, tuple(Word(word.text.strip(SPACES), word.where) for word in words))


def _shell(statement: Statement) -> Shell:
    words = statement.json()
    if words is None and statement.rest:
        raise statement.wrong("SHELL requires the arguments to be in JSON form")
    if not words:
        raise statement.wrong("SHELL requires at least one argument")
    return Shell(statement.where, statement.source, tuple(word.text for word in words))


def _onbuild(statement: Statement) -> Onbuild:
    words = statement.plain()
    if not words:
        raise statement.wrong("ONBUILD requires at least one argument")
    keyword = words[0].text.upper()
    if keyword == "ONBUILD":
        raise statement.wrong("chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", words[0])
    if keyword in ("FROM", "MAINTAINER"):
        raise statement.wrong(f"{keyword} isn't allowed as an ONBUILD trigger", words[0])
    bodies = "".join(f"\n{heredoc.body}{heredoc.name}" for heredoc in statement.heredocs)
    return Onbuild(statement.where, statement.source, statement.rest + bodies)


def _maintainer(statement: Statement) -> Maintainer:
    return Maintainer(statement.where, statement.source, _only(statement).text)


_READERS: Mapping[str, Callable[[Statement], Instruction]] = {
    "ADD": _copy,
    "ARG": _arg,
    "CMD": _cmd,
    "COPY": _copy,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "FROM": _from,
    "HEALTHCHECK": read_healthcheck,
    "LABEL": _label,
    "MAINTAINER": _maintainer,
    "ONBUILD": _onbuild,
    "RUN": _run,
    "SHELL": _shell,
    "STOPSIGNAL": _stopsignal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}

#: All instructions of the language, in capitals.
KEYWORDS = frozenset(_READERS)
