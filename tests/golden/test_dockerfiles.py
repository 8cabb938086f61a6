"""A corpus of Dockerfiles: what is read from each is written down, and compared with what two other parsers read.

``UPDATE_GOLDEN=1 pytest tests/golden`` writes the ``.expected`` files anew; read their diff before you commit it.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from fswatch_builder.dockerfile import parse
from fswatch_builder.errors import Location
from fswatch_builder.model.instruction import Word
from tests.support.dockerfile_oracles import HAS_GO, WITHOUT_GO, GoOracle, View, e2b, ours

CORPUS = sorted(Path(__file__).with_name("dockerfiles").glob("*.Dockerfile"))

#: Where another parser reads a file otherwise, and why ours is right. An entry that is no longer true fails.
GO_DIFFERS = {
    "json-then-text": "it stops at the array's end; newer BuildKit wants nothing behind it",
    "blank-before-name": "newer BuildKit takes the name after a blank",
    "dash-and-blank": "we take what the shell takes",
    "check-then-escape": "it does not know the check directive, so it loses the escape behind it",
    "lone-escape": "it begins the instruction at the escape, we where its keyword stands: there a user has to look",
    "backtick": "it always takes the backslash as escape within flags; newer BuildKit the directive's",
}
E2B_DIFFERS = {
    "onbuild": "it reads no heredoc of a trigger",
    "arithmetic": "it takes the shift for a heredoc and misses its end",
    "lone-escape": "it begins the instruction at the escape, we where its keyword stands: there a user has to look",
    "dash-and-blank": "we take what the shell takes",
    "blank-before-name": "it reads the body of COPY << NAME, yet keeps << and NAME as paths",
}


def text_of(path: Path) -> str:
    return path.read_bytes().decode()


def dump(path: Path) -> str:
    """One line an instruction, a field or a warning."""
    file = parse(path.read_bytes(), path.name)
    lines = [f"escape {file.escape}", *(f"directive {name}={value}" for name, value in file.directives.items())]
    for one in file.instructions:
        where = one.where
        lines.append(f"{type(one).__name__} lines {where.line}-{where.end_line} column {where.column}")
        lines += [f"  {name}: {shown(getattr(one, name))}" for name in one.__struct_fields__ if name != "where"]
    lines += [f"warning {one.rule} {place(one.where)} {one.message}" for one in file.warnings]
    return "\n".join(lines) + "\n"


def shown(value: object) -> str:
    if isinstance(value, Word):
        return f"{value.text!r}@{place(value.where)}"
    if isinstance(value, tuple):
        return f"({', '.join(map(shown, value))})"
    if isinstance(value, Struct):
        fields = (shown(getattr(value, name)) for name in value.__struct_fields__)
        return f"{type(value).__name__}({', '.join(fields)})"
    return repr(value)


def place(where: Location) -> str:
    return f"{where.line}:{where.column}"


@pytest.fixture(scope="module")
def go() -> Iterator[GoOracle]:
    oracle = GoOracle()
    yield oracle
    oracle.close()


def test_the_corpus_is_there() -> None:
    assert {path.stem for path in CORPUS} >= set(GO_DIFFERS) | set(E2B_DIFFERS)


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_what_is_read_is_what_was_written_down(path: Path) -> None:
    expected = path.with_suffix(".expected")
    found = dump(path)
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text(found)
    assert found == expected.read_text()


@pytest.mark.skipif(not HAS_GO, reason=WITHOUT_GO)
@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_buildkits_parser_agrees(go: GoOracle, path: Path) -> None:
    agrees(path, ours(text_of(path)), go(text_of(path)), GO_DIFFERS)


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_the_port_agrees(path: Path) -> None:
    agrees(path, ours(text_of(path)), e2b(text_of(path)), E2B_DIFFERS)


def agrees(path: Path, mine: View, other: View, differs: dict[str, str]) -> None:
    assert mine is not None
    if path.stem in differs:
        assert mine != other, f"no longer a difference: {differs[path.stem]}"
    else:
        assert mine == other
