"""Physical lines become logical ones, and every character knows where it stood."""

import pytest

from fswatch_builder.dockerfile.lines import LineReader
from fswatch_builder.errors import DockerfileError, Location
from fswatch_builder.model.instruction import Run
from tests.unit.dockerfile.reading import error, read


def texts(content: str | bytes) -> list[str]:
    data = content.encode() if isinstance(content, str) else content
    return [line.text for line in LineReader(data, "D")]


@pytest.mark.parametrize(
    ("content", "joined"),
    [
        ("RUN a \\\n  b", ["RUN a   b"]),
        ("RUN a \\ \t \n  b", ["RUN a   b"]),  # blanks after the escape
        ("RUN a \\\n# gone\n  # gone too\n  b", ["RUN a   b"]),
        ("RUN a \\\n\n \t\n  b", ["RUN a   b"]),  # empty lines do not end it
        ("RUN a \\\n# only a comment follows", ["RUN a "]),
        ("RUN a \\", ["RUN a "]),
        ("RUN a\\\\\nRUN b", ["RUN a\\\\", "RUN b"]),  # a doubled escape is text
        ("RUN a \\x\nRUN b", ["RUN a \\x", "RUN b"]),
        ("\\\nRUN a", ["RUN a"]),
        ("RUN a\r\nRUN b \\\r\n c\r\n", ["RUN a", "RUN b  c"]),
        ("\ufeffRUN a", ["RUN a"]),
        ("  RUN a", ["RUN a"]),
        ("\n\n# c\n   # d\nRUN a\n", ["RUN a"]),
        ("RUN a # not a comment", ["RUN a # not a comment"]),
        ("RUN a\\\n#b \\\nc", ["RUN ac"]),  # a comment's own escape means nothing
    ],
)
def test_continuations_comments_and_line_ends(content: str, joined: list[str]) -> None:
    assert texts(content) == joined


def test_empty_line_in_a_continuation_warns_at_its_place() -> None:
    (warning,) = read("FROM a\nRUN x \\\n\n  y\n").warnings
    assert (warning.rule, warning.where.line) == ("NoEmptyContinuation", 3)


def test_every_character_finds_its_line_and_column() -> None:
    content = "  RUN ab \\\n# comment\n\tcd \\\n\n e"
    (line,) = LineReader(content.encode(), "D")
    physical = content.split("\n")
    for offset, char in enumerate(line.text):
        place = line.at(offset)
        assert physical[place.line - 1][place.column - 1] == char


def test_directives_are_case_free_and_come_first() -> None:
    reader = LineReader(b"# SynTax = docker/dockerfile:1 \n#escape=`\n#  check = skip=all\nRUN a `\n b", "D")
    assert [line.text for line in reader] == ["RUN a  b"]
    assert reader.directives == {"syntax": "docker/dockerfile:1", "escape": "`", "check": "skip=all"}


@pytest.mark.parametrize("before", ["\n", "# a comment\n", "# unknown=x\n", "# escape\n", "# escape=\n", "#\n"])
def test_any_other_line_ends_the_directives(before: str) -> None:
    reader = LineReader(f"{before}# escape=`\nRUN a \\\n b".encode(), "D")
    assert [line.text for line in reader] == ["RUN a  b"]
    assert reader.escape == "\\"


def test_check_before_escape_keeps_the_escape() -> None:
    assert read("# check=skip=all\n# escape=`\nFROM a\nRUN b `\n c\n").escape == "`"


def test_a_directive_twice_is_an_error() -> None:
    found = error("# escape=`\n# Escape=`\nFROM a\n")
    assert (found.what, found.where) == ("only one escape parser directive can be used", Location("Dockerfile", 2))


@pytest.mark.parametrize("value", ["x", " ", "\\\\", "``"])
def test_escape_is_backslash_or_backtick(value: str) -> None:
    found = error(f"# escape={value}\nFROM a\n")
    assert found.what.startswith("invalid escape token")
    assert found.where == Location("Dockerfile", 1)


def test_nul_is_refused_with_its_place() -> None:
    with pytest.raises(DockerfileError) as caught:
        LineReader(b"FROM a\nRUN \0", "D")
    assert caught.value.where == Location("D", 2, 5)


def test_bytes_that_are_not_utf8_survive_in_commands_and_paths() -> None:
    run = read(b"FROM a\nRUN echo \xff\n").instructions[1]
    assert isinstance(run, Run)
    assert run.argv[0].encode("utf-8", "surrogateescape") == b"echo \xff"


def test_bytes_that_are_not_utf8_are_refused_where_json_would_hold_them() -> None:
    found = error(b"FROM a\nLABEL k=\xe4\n")
    assert "LABEL holds a byte that is not UTF-8: 0xe4" in found.what
    assert found.where == Location("Dockerfile", 2, 9)


def test_a_long_file_is_read_a_line_at_a_time() -> None:
    """Every line is looked at once: no look back over what was read, however many lines one instruction has."""
    body = "".join(f"RUN a{number} \\\n# comment\n\n  b\n" for number in range(2_000))
    long = "RUN x" + " \\\n y" * 20_000
    lines = texts(body + long)
    assert len(lines) == 2_001
    assert lines[-1] == "RUN x" + "  y" * 20_000
