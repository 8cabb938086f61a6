"""Generated Dockerfiles, read by three parsers.

What the others read differently on purpose is listed in ``tests/golden/test_dockerfiles.py`` and not generated here.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.support.dockerfile_oracles import HAS_GO, WITHOUT_GO, GoOracle, e2b, ours

needs_go = pytest.mark.skipif(not HAS_GO, reason=WITHOUT_GO)

NAMES = st.sampled_from(["a", "B", "x_1", "PATH"])
PIECES = st.sampled_from(
    ["a", "b1", "/", ".", "-", "$a", "${a:-b}", "\\ ", "\\\\", "\\$", "é", "=", ":", ",", "*", "{", "}", "]", "&&", "|"]
)
WORDS = (
    st.lists(PIECES, min_size=1, max_size=4)
    .map("".join)
    # No flag, no lone escape at either end: at a line's end it would continue it.
    .filter(lambda word: not word.startswith(("-", "\\")) and not re.search(r"(^|[^\\])\\ *$", word))
)
BLANKS = st.sampled_from(
    [" ", "  ", "\t", " \t", " \\\n", " \\ \n\t", " \\\n# comment\n", " \\\n\n  ", " \\\n  # x \\\n "]
)
QUOTED = st.one_of(
    WORDS,
    st.lists(PIECES, max_size=3).map(lambda parts: '"' + " ".join(parts) + '"'),
    st.lists(PIECES, max_size=3).map(lambda parts: "'" + " ".join(parts).replace("\\", "") + "'"),
)
STRINGS = st.lists(st.sampled_from(["a", " ", "\\\\", '\\"', "\\u00e9", "$x", "]", ","]), max_size=3).map("".join)
JSON = st.lists(STRINGS.map(lambda text: f'"{text}"'), min_size=2, max_size=3).map(lambda all_: f"[{', '.join(all_)}]")


def separated(draw: st.DrawFn, *words: str) -> str:
    out = words[0]
    for word in words[1:]:
        out += draw(BLANKS) + word
    return out


@st.composite
def keywords(draw: st.DrawFn, keyword: str) -> str:
    return draw(st.sampled_from([keyword, keyword.lower(), keyword.title()]))


@st.composite
def heredocs(draw: st.DrawFn) -> tuple[list[str], str]:
    """The words that open some, and the lines that follow."""
    words, after = [], ""
    for name in draw(st.lists(st.sampled_from(["EOF", "E2", "x.txt"]), min_size=1, max_size=2)):
        dash = draw(st.sampled_from(["", "-"]))
        quote = draw(st.sampled_from(["", "'", '"']))
        words.append(f"{draw(st.sampled_from(['', '3']))}<<{dash}{quote}{name}{quote}")
        lines = draw(st.lists(st.sampled_from(["", "# x", "RUN y", "a \\", "\tb", "$a 'c"]), max_size=3))
        after += "".join(f"{line}\n" for line in [*lines, ("\t" if dash else "") + name])
    return words, after


@st.composite
def instructions(draw: st.DrawFn) -> str:
    keyword = draw(
        st.sampled_from(
            [
                "ARG",
                "ENV",
                "LABEL",
                "RUN",
                "CMD",
                "ENTRYPOINT",
                "COPY",
                "ADD",
                "EXPOSE",
                "VOLUME",
                "WORKDIR",
                "USER",
                "STOPSIGNAL",
                "SHELL",
                "HEALTHCHECK",
                "MAINTAINER",
                "FROM",
            ]
        )
    )
    flags: list[str] = []
    after = ""
    match keyword:
        case "FROM":
            flags = draw(st.sampled_from([[], ["--platform=linux/amd64"], ["--platform=$P"]]))
            words = draw(st.sampled_from([["a"], ["a:1", "AS", "b"], ["$a", "as", "B"]]))
        case "ARG":
            items = st.builds(lambda name, value: name + value, NAMES, st.one_of(st.just(""), QUOTED.map("={}".format)))
            words = draw(st.lists(items, min_size=1, max_size=3))
        case "ENV" | "LABEL":
            items = st.builds("{}={}".format, NAMES, st.one_of(st.just(""), QUOTED))
            words = draw(st.one_of(st.lists(items, min_size=1, max_size=3), st.tuples(NAMES, QUOTED).map(list)))
        case "RUN" | "CMD" | "ENTRYPOINT":
            words = draw(st.one_of(st.lists(QUOTED, min_size=1, max_size=3), JSON.map(lambda text: [text])))
            if keyword == "RUN":
                flags = draw(
                    st.sampled_from([[], ["--network=none"], ["--mount=type=tmpfs,target=/a", '--mount="b c"']])
                )
                if draw(st.booleans()) and not words[0].startswith("["):
                    more, after = draw(heredocs())
                    words = [word for word in words if "'" not in word and "$" not in word] + more
        case "COPY" | "ADD":
            flags = draw(st.sampled_from([[], ["--chown=a:b"], ["--link", "--chmod=0644"], ["--link=False"]]))
            words = draw(st.one_of(st.lists(WORDS, min_size=2, max_size=3), JSON.map(lambda text: [text])))
            if draw(st.booleans()) and not words[0].startswith("["):
                more, after = draw(heredocs())
                words = more + [word for word in words if "$" not in word] + ["/d/"]
        case "VOLUME":
            words = draw(st.lists(WORDS, min_size=1, max_size=3))
        case "SHELL":
            words = [draw(JSON)]
        case "HEALTHCHECK":
            flags = draw(st.sampled_from([[], ["--interval=5s"], ["--timeout=1m30s", "--retries=3"]]))
            command = draw(st.one_of(st.lists(QUOTED, min_size=1, max_size=3), JSON.map(lambda text: [text])))
            words = draw(st.sampled_from([["NONE"], ["CMD", *command], ["cmd", *command]]))
        case "MAINTAINER":
            words = draw(st.lists(WORDS, min_size=1, max_size=3))
        case _:
            words = draw(st.lists(WORDS, min_size=1, max_size=2))
    return separated(draw, draw(keywords(keyword)), *flags, *words) + "\n" + after


@st.composite
def dockerfiles(draw: st.DrawFn) -> str:
    lines = ["FROM scratch\n"]
    for instruction in draw(st.lists(instructions(), min_size=1, max_size=4)):
        lines += [draw(st.sampled_from(["", "\n", "# comment\n", "  # check=skip=all\n"])), instruction]
    text = "".join(lines)
    directives = draw(st.sampled_from(["", "# syntax=docker/dockerfile:1\n", "# escape=\\\n", "#\n"]))
    text = directives + text
    if draw(st.booleans()):
        text = text.removesuffix("\n")
    return text


@pytest.fixture(scope="module")
def go() -> Iterator[GoOracle]:
    oracle = GoOracle()
    yield oracle
    oracle.close()


LIMITS = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@needs_go
@LIMITS
@given(text=dockerfiles())
def test_generated_files_are_read_as_by_buildkit(go: GoOracle, text: str) -> None:
    mine = ours(text)
    assert mine is not None
    assert mine == go(text)


@LIMITS
@given(text=dockerfiles())
def test_generated_files_are_read_as_by_the_port(text: str) -> None:
    # Of three escapes before blanks at the end of a COPY it drops one; BuildKit's own parser drops none.
    assume("\\\\\\" not in text)
    mine = ours(text)
    assert mine is not None
    assert mine == e2b(text)


MANGLING = st.lists(
    st.tuples(
        st.integers(0, 400),
        st.sampled_from(["", "\\", '"', "'", "\n", " ", "#", "[", "]", "<", "$", "{", "é", "\t", "\r", "-", "="]),
    ),
    min_size=1,
    max_size=2,
)


def mangled(text: str, changes: list[tuple[int, str]]) -> str:
    """Single characters replaced or taken out.

    Not wanted: a line with nothing but an escape. The instruction below it begins there for the others, for us where
    its keyword stands, since that is where a user has to look.
    """
    for at, char in changes:
        at %= len(text)
        text = text[:at] + char + text[at + 1 :]
    assume(not any(line.strip() == "\\" for line in text.splitlines()))
    return text


@LIMITS
@given(text=dockerfiles(), changes=MANGLING)
def test_mangled_files_are_read_alike_or_refused(text: str, changes: list[tuple[int, str]]) -> None:
    """We check more than the parsers do, so ours may refuse what they take; never the other way round."""
    text = mangled(text, changes)
    mine = ours(text)
    if mine is not None:
        assert mine == e2b(text)


@needs_go
@LIMITS
@given(text=dockerfiles(), changes=MANGLING)
def test_mangled_files_are_read_as_by_buildkit_or_refused(
    go: GoOracle, text: str, changes: list[tuple[int, str]]
) -> None:
    text = mangled(text, changes)
    mine = ours(text)
    if mine is not None and not go_is_known_to_differ(mine):
        assert mine == go(text)


def go_is_known_to_differ(mine: list[list[Any]]) -> bool:
    """It takes an array with text behind it for the JSON form, and looks at single bytes in flags."""
    return any(
        (not is_exec and words[0].startswith("[")) or not all(flag.isascii() for flag in flags)
        for _, _, _, flags, words, is_exec, _ in mine
        if words
    )
