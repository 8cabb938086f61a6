"""Two other Dockerfile parsers, for comparison: a view of a file that all three can give.

``go`` is BuildKit's own parser of 2023, behind PyPI's ``dockerfile``; ``e2b`` is a Python port of a newer one. The Go
runtime starts threads, and a process with threads cannot unshare its user namespace, so ``go`` works in a process of
its own: this module, run as a program, reads one JSON string a line and answers with one JSON value.
"""

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

from fswatch_builder.dockerfile import parse
from fswatch_builder.errors import DockerfileError
from fswatch_builder.model.instruction import (
    Arg,
    Cmd,
    Copy,
    Dockerfile,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
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
    Workdir,
)

#: An instruction as [keyword, first line, last line, flags, arguments, exec form, heredocs]; None: the file is refused.
View = list[list[Any]] | None

HAS_GO = importlib.util.find_spec("dockerfile") is not None
WITHOUT_GO = "PyPI's dockerfile has wheels for x86-64 and glibc only"

_BOOLEANS = ("link", "parents", "keep-git-dir", "unpack")


def ours(text: str) -> View:
    """What this project's parser makes of it."""
    try:
        file = parse(text.encode(), "Dockerfile")
    except DockerfileError:
        return None
    return view(file)


def view(file: Dockerfile) -> View:
    """The common view of what was parsed."""
    return [
        [
            _keyword(one),
            one.where.line,
            one.where.end_line,
            _flags(one),
            _arguments(one),
            isinstance(one, Run | Cmd | Entrypoint | Healthcheck) and one.form == "exec",
            [_body(body.name, body.body, body.fd) for body in _heredocs(one)],
        ]
        for one in file.instructions
        if not isinstance(one, Onbuild)  # theirs are taken apart, ours are text until a child runs them
    ]


def _keyword(one: Instruction) -> str:
    return "ADD" if isinstance(one, Copy) and one.add else type(one).__name__.upper()


def _flags(one: Instruction) -> list[str]:
    flags: list[tuple[str, str]] = []
    if isinstance(one, Run):
        flags += [(name, value) for name, values in one.flags.items() for value in values]
        flags += [("mount", str(mount)) for mount in one.mounts]
        told = {"network": one.network, "security": one.security}
        flags += [(name, str(value)) for name, value in told.items() if value is not None]
    if isinstance(one, Copy):
        single = {"chown": one.chown, "chmod": one.chmod, "from": one.stage, "checksum": one.checksum}
        flags += [(name, str(value)) for name, value in single.items() if value is not None]
        truths = {"link": one.link, "parents": one.parents, "unpack": one.unpack, "keep-git-dir": one.keep_git_dir}
        flags += [(name, str(value).lower()) for name, value in truths.items() if value is not None]
        flags += [("exclude", pattern) for pattern in one.exclude]
    if isinstance(one, From) and one.platform is not None:
        flags.append(("platform", str(one.platform)))
    return sorted(f"--{name}={value}" for name, value in flags)


def _arguments(one: Instruction) -> list[str]:
    match one:
        case From():
            return [str(one.base), *(["as", one.name] if one.name else [])]
        case Arg():
            return [f"{name}" if value is None else f"{name}={value}" for name, value in one.items]
        case Env() | Label():
            return [str(word) for pair in one.items for word in pair]
        case Run() | Cmd() | Entrypoint() | Shell():
            return list(one.argv)
        case Copy():
            return [source.name if isinstance(source, Heredoc) else str(source) for source in (*one.sources, one.dest)]
        case Expose():
            return [str(port) for port in one.ports]
        case Volume():
            return [str(path) for path in one.paths]
        case Workdir():
            return [str(one.path)]
        case User():
            return [str(one.name)]
        case Stopsignal():
            return [str(one.signal)]
        case Healthcheck():
            return ["NONE"] if one.form is None else ["CMD", *one.argv]
        case Maintainer():
            return [one.author]
    raise AssertionError(f"no view of {type(one)}")


def _heredocs(one: Instruction) -> list[Heredoc]:
    if isinstance(one, Run):
        return list(one.heredocs)
    return [source for source in one.sources if isinstance(source, Heredoc)] if isinstance(one, Copy) else []


def _body(name: str, body: str, fd: int) -> list[Any]:
    # One oracle keeps the tabs that <<- drops and does not say that it is one, so tabs are left out of the comparison.
    return [name, [line.lstrip("\t") for line in body.split("\n")], fd]


def e2b(text: str) -> View:
    """What the Python port makes of it."""
    from e2b_dockerfile_utils import DockerfileSyntaxError, parse_dockerfile_ast

    try:
        parsed = parse_dockerfile_ast(text)
    except DockerfileSyntaxError:
        return None
    found = [
        _foreign(
            one.name,
            one.start_line,
            one.end_line,
            one.flags,
            _ported_arguments(one.name, one.args, one.json),
            one.json,
            [(body.name, body.content, body.file_descriptor) for body in one.heredocs],
        )
        for one in parsed.instructions
    ]
    return [one for one in found if one[0] != "ONBUILD"]


def _ported_arguments(keyword: str, arguments: list[str], is_json: bool) -> list[str]:
    if keyword in ("ENV", "LABEL"):  # name, value, separator, ...
        return [argument for index, argument in enumerate(arguments) if index % 3 != 2]
    if keyword in ("COPY", "ADD") and not is_json:  # the port alone keeps quoted and escaped blanks together
        return " ".join(arguments).split()
    return arguments


def _foreign(
    keyword: str,
    start: int,
    end: int,
    flags: Iterable[str],
    arguments: Iterable[str],
    is_json: bool,
    heredocs: list[Any],  # name, body, descriptor
) -> list[Any]:
    words = list(arguments)
    if keyword == "FROM" and len(words) == 3:
        words = [words[0], words[1].lower(), words[2].lower()]
    if keyword in ("COPY", "ADD"):
        names = iter(heredocs)
        words = [next(names, (word,))[0] if re.match(r"\d*<<", word) else word for word in words]
    if keyword in ("RUN", "CMD", "ENTRYPOINT") and not words and not is_json:
        words = [""]
    if keyword == "HEALTHCHECK":
        words[0] = words[0].upper()
        flags = ()  # ours are durations already
    return [
        keyword,
        start,
        end,
        sorted(_flag(flag) for flag in flags),
        words,
        is_json and keyword in ("RUN", "CMD", "ENTRYPOINT", "HEALTHCHECK"),
        [_body(*heredoc) for heredoc in heredocs],
    ]


def _flag(text: str) -> str:
    name, equals, value = text.partition("=")
    if name[2:] in _BOOLEANS:
        value = value.lower() if equals else "true"
    return f"{name}={value}"


class GoOracle:
    """BuildKit's parser in a process of its own. Close it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, text: str) -> View:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(text) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if answer is None:
            return None
        found = [_foreign(*one) for one in answer]
        return [one for one in found if one[0] != "ONBUILD"]

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate(timeout=30)


def _serve() -> None:
    import dockerfile  # type: ignore[import-not-found]

    for line in sys.stdin:
        answer: list[list[Any]] | None
        try:
            answer = [
                [
                    (one.cmd or "").upper(),
                    one.start_line,
                    one.end_line,
                    one.flags,
                    one.value,
                    one.json,
                    [(body.name, body.content, body.file_descriptor) for body in one.heredocs],
                ]
                for one in dockerfile.parse_string(json.loads(line))
            ]
        except dockerfile.GoParseError:
            answer = None
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _serve()
