"""One message an error: what, where, the line itself, what to do."""

from pathlib import Path

import pytest

from fswatch_builder.cli.failure import message, source_lines
from fswatch_builder.errors import DockerfileError, Location, RunError


def test_a_message_shows_the_lines_it_speaks_of(tmp_path: Path) -> None:
    path = tmp_path / "Dockerfile"
    path.write_text("FROM x\nRUN a \\\n  b\n")
    error = DockerfileError("no", where=Location(str(path), 2, 1, 3), hint="yes")
    assert message(error).splitlines() == [
        "ERROR: no",
        f"  at {path}:2-3",
        "     2 | RUN a \\",
        "       | ^",
        "     3 |   b",
        "  hint: yes",
    ]


def test_a_file_that_is_gone_is_no_second_error() -> None:
    assert message(DockerfileError("no", where=Location("/no/such/file", 2))) == "ERROR: no\n  at /no/such/file:2"


def test_a_failed_run_shows_its_last_lines() -> None:
    assert message(RunError("failed", code=3, tail="a\nb\n")).splitlines() == [
        "last lines of its output:",
        "  | a",
        "  | b",
        "ERROR: failed",
    ]


def test_what_else_went_wrong_is_a_note() -> None:
    error = DockerfileError("no", hint="yes")
    error.add_note("more\x1b[2J")
    assert message(error).splitlines() == ["ERROR: no", "  hint: yes", "  note: more"]


@pytest.mark.parametrize(
    ("text", "where", "shown"),
    [
        ("FROM a\nENV x=1 y\n", Location("f", 2, 9), ["   2 | ENV x=1 y", "     |         ^"]),
        ("FROM a\nRUN a \\\n  b\n", Location("f", 2, 1, 3), ["   2 | RUN a \\", "     | ^", "   3 |   b"]),
        ("\ufeffFOO a", Location("f", 1, 5), ["   1 | FOO a", "     |     ^"]),
        ("A\tb c", Location("f", 1, 5), ["   1 | A\tb c", "     |  \t  ^"]),
        ("A 日本 c", Location("f", 1, 6), ["   1 | A 日本 c", "     |        ^"]),
        ("A \x1b]0;t\x07 c", Location("f", 1, 10), ["   1 | A  c", "     |    ^"]),
        ("A\r\n", Location("f", 1, 1), ["   1 | A", "     | ^"]),
    ],
)
def test_a_caret_stands_below_the_place(text: str, where: Location, shown: list[str]) -> None:
    assert source_lines(where, text.encode()) == shown


def test_a_byte_that_is_no_text_is_as_wide_as_it_is_shown() -> None:
    assert source_lines(Location("f", 1, 4), b"A\xff\xfeb\n") == ["   1 | A\\xff\\xfeb", "     |          ^"]
