"""Nothing that someone else wrote steers the terminal of the user, or passes for a line of the builder."""

import io
from pathlib import Path

import pytest

from fswatch_builder.build.events import (
    Event,
    OutputWritten,
    StepFinished,
    StepNote,
    StepOutput,
    StepStarted,
    WarningFound,
    WorkStarted,
)
from fswatch_builder.cli.failure import message
from fswatch_builder.cli.live import Live
from fswatch_builder.cli.printable import printable, printable_output
from fswatch_builder.cli.render import Pipe, Plain, Quiet
from fswatch_builder.errors import DockerfileError, Location, RunError

HOSTILE = "\x1b]0;title\x07\x1b]52;c;Y29weQ==\x1b\\\x1b[2J\x1b[1A\x9b2J\x90q\x9c\x1bc\x08\x7f\u202e"

EVENTS: list[Event] = [
    StepStarted(1, f"stage{HOSTILE}", 1, 2, f"RUN {HOSTILE}", Location("Dockerfile", 1)),
    StepNote(1, f"note{HOSTILE}\n#9 DONE"),
    StepOutput(1, "stdout", f"out{HOSTILE}\n".encode(), 0.1),
    StepOutput(1, "stderr", b"err\xff\x1b[31m red \x1b[0m", 0.1),
    StepFinished(1, "done", 0.2),
    WarningFound("Rule", f"warning{HOSTILE}", Location(f"D{HOSTILE}", 1)),
    OutputWritten("oci", f"path{HOSTILE}", 1.0),
    WorkStarted(f"writing to {HOSTILE}"),
]


def controls(text: str) -> set[str]:
    return {character for character in text if not character.isprintable()} - {"\n"}


@pytest.mark.parametrize("kind", [Plain, Quiet])
def test_what_a_build_shows_as_lines_has_no_control_characters(kind: type[Plain] | type[Quiet]) -> None:
    out = io.StringIO()
    renderer = kind(Pipe(out))
    for event in EVENTS:
        renderer.emit(event)
    assert "warning" in out.getvalue()
    assert not controls(out.getvalue())
    assert not any(line.startswith("#9") for line in out.getvalue().splitlines())


def test_what_a_build_shows_on_a_terminal_has_none_but_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")  # then it needs none
    monkeypatch.setenv("NO_COLOR", "1")
    out = io.StringIO()
    renderer = Live(out)
    for event in EVENTS:
        renderer.emit(event)
    renderer.close()
    assert "warning" in out.getvalue()
    assert not controls(out.getvalue())


def test_an_error_has_none_and_none_of_its_lines_is_forged(tmp_path: Path) -> None:
    path = tmp_path / "Dockerfile"
    path.write_text(f"FROM x\nRUN {HOSTILE}\x0b\u2028ERROR: forged\n")
    where = Location(str(path), 2)
    errors = [
        DockerfileError(f"no{HOSTILE}\nERROR: forged", where=where, hint=f"yes{HOSTILE}\nERROR: forged"),
        RunError("failed", code=1, tail=f"{HOSTILE}\nERROR: forged\x0bERROR: forged\n", where=where),
    ]
    for error in errors:
        shown = message(error)
        assert not controls(shown)
        assert [line[:2] for line in shown.splitlines()].count("ER") == 1


def test_colours_go_and_what_is_meant_to_be_read_stays() -> None:
    assert printable("\x1b[1;31mred\x1b[0m \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\") == "red link"
    assert printable("\ta\u00a0b\u3000\u6f22 \U0001f469\u200d\U0001f4bb") == (
        "\ta\u00a0b\u3000\u6f22 \U0001f469\u200d\U0001f4bb"
    )
    assert printable("a\nb\x00\x1b") == "a\\nb\\x00\\x1b"
    assert printable("f\udcff") == "f\\xff"


def test_pieces_left_of_sequences_make_no_new_one() -> None:
    assert "\x1b" not in printable("\x1b\x1b[m[31m")


def test_a_progress_bar_shows_its_end() -> None:
    assert printable_output("1%\r50%\r100%\r") == "100%"
