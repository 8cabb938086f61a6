"""One message an error: what, where, the line itself, what to do."""

from pathlib import Path

from fswatch_builder.cli.failure import message
from fswatch_builder.errors import DockerfileError, Location, RunError


def test_a_message_shows_the_lines_it_speaks_of(tmp_path: Path) -> None:
    path = tmp_path / "Dockerfile"
    path.write_text("FROM x\nRUN a \\\n  b\n")
    error = DockerfileError("no", where=Location(str(path), 2, 1, 3), hint="yes")
    assert message(error).splitlines() == [
        "ERROR: no",
        f"  at {path}:2-3",
        "     2 | RUN a \\",
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
