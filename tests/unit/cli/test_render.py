"""What a build looks like."""

import errno
import io
import json
import re

import pytest
from rich.console import Console

from fswatch_builder.build.events import (
    OutputWritten,
    StepFinished,
    StepNote,
    StepOutput,
    StepProgress,
    StepReport,
    StepStarted,
    WarningFound,
    WorkStarted,
)
from fswatch_builder.cli.live import Live
from fswatch_builder.cli.render import Pipe, Plain, RawJSON
from fswatch_builder.errors import Location
from fswatch_builder.model.quantity import size_text


def shown(*events: object, kind: type[Plain] | type[RawJSON] = Plain) -> list[str]:
    out = io.StringIO()
    renderer = kind(Pipe(out))
    for event in events:
        renderer.emit(event)  # type: ignore[arg-type]
    return out.getvalue().splitlines()


START = StepStarted(5, "build", 2, 4, "RUN make \\\n all")


def test_a_step_is_told_with_number_stage_and_position() -> None:
    assert shown(START) == ["#5 [build 2/4] RUN make \\ ..."]


def test_output_is_cut_into_lines_whatever_pieces_it_comes_in() -> None:
    events = [
        StepOutput(5, "stdout", b"one\ntw", 0.1),
        StepOutput(5, "stderr", b"err\n", 0.2),
        StepOutput(5, "stdout", b"o\nrest \xff", 0.3),
        StepFinished(5, "done", 0.4),
    ]
    assert shown(*events) == [
        "#5 0.100 one",
        "#5 0.200 err",
        "#5 0.300 two",
        "#5 0.400 rest \ufffd",
        "#5 DONE 400ms",
        "",
    ]


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (StepFinished(5, "cached", 0.0, StepReport()), "#5 CACHED  no layer"),
        (StepFinished(5, "cached", 0.0, StepReport(stored=1200, diff_id="d")), "#5 CACHED  layer 1.2kB"),
        (StepFinished(5, "config", 0.0), "#5 CONFIG"),
        (StepFinished(5, "failed", 1.26), "#5 ERROR 1.3s"),
        (
            StepFinished(5, "done", 0.3, StepReport("inotify", 3, (), 2, 1200, 300, "d")),
            "#5 DONE 300ms  tracker inotify, 3 hints, 0 losses, layer 2 entries 1.2kB",
        ),
        (StepFinished(5, "done", 0.3, StepReport(entries=1, size=10, diff_id="d")), "#5 DONE 300ms  layer 1 entry 10B"),
    ],
)
def test_the_end_of_a_step_says_what_it_did(event: StepFinished, line: str) -> None:
    assert shown(event)[0] == line


def test_a_loss_is_explained_before_the_end_of_its_step() -> None:
    report = StepReport("inotify", 1, (("queue-overflow", b""),))
    note, end, _ = shown(StepFinished(5, "done", 0.3, report))
    assert note.startswith("#5 note: queue-overflow: changes came faster than they were read")
    assert end == "#5 DONE 300ms  tracker inotify, 1 hint, 1 loss, no layer"


def test_steps_that_go_on_at_once_are_told_apart() -> None:
    events = [
        START,
        StepStarted(6, "test", 1, 2, "FROM x"),
        StepNote(6, "new"),
        StepOutput(5, "stdout", b"one\nha", 0.1),
        StepOutput(5, "stdout", b"lf\n", 0.2),
        StepFinished(6, "canceled", 0.5),
        StepOutput(5, "stdout", b"two\n", 0.3),
        StepFinished(5, "failed", 0.5),
    ]
    assert shown(*events) == [
        "#5 [build 2/4] RUN make \\ ...",
        "",
        "#6 [test 1/2] FROM x",
        "#6 note: new",
        "",
        "#5 [build 2/4] RUN make \\ ...",
        "#5 0.100 one",
        "#5 0.200 half",
        "",
        "#6 [test 1/2] FROM x",
        "#6 CANCELED 500ms",
        "",
        "#5 [build 2/4] RUN make \\ ...",
        "#5 0.300 two",
        "#5 ERROR 500ms",
        "",
    ]


def on_a_terminal(*events: object) -> str:
    """The part of the display that moves, as it is after ``events``."""
    live = Live(io.StringIO())
    try:
        for event in events:
            live.emit(event)  # type: ignore[arg-type]
        out = io.StringIO()
        Console(file=out, width=60).print(live.__rich__())
        return re.sub(r"^. [\d.]+s ", "* ", out.getvalue(), flags=re.MULTILINE)
    finally:
        live.close()


def test_a_terminal_shows_all_running_steps_and_the_ends_of_their_output() -> None:
    lines = b"".join(b"line %d\n" % number for number in range(9))
    two = (START, StepStarted(6, "test", 1, 2, "FROM x"), StepOutput(5, "stdout", lines, 0.1))
    assert on_a_terminal(*two) == (
        "* #5 [build 2/4] RUN make \\ ...\n   line 6\n   line 7\n   line 8\n* #6 [test 1/2] FROM x\n"
    )
    assert on_a_terminal(*two, StepFinished(6, "done", 0.1)).count("line") == 6
    assert on_a_terminal(*two, StepFinished(5, "done", 0.1)) == "* #6 [test 1/2] FROM x\n"
    assert on_a_terminal(WorkStarted("squashing")) == "* squashing\n"
    assert on_a_terminal(WorkStarted("squashing"), OutputWritten("tar", "/x", 1.0)) == ""


def test_progress_comes_often_and_is_told_now_and_then() -> None:
    events = [StepProgress(5, "unpacking", done, 3_000_000) for done in range(0, 3_000_000, 500_000)]
    assert shown(*events) == ["#5 unpacking 0B of 3MB"]
    assert len(shown(*events, kind=RawJSON)) == 6


def test_rawjson_is_one_object_a_line() -> None:
    warning = WarningFound("Rule", "text", Location("Dockerfile", 3))
    lines = [json.loads(line) for line in shown(START, StepOutput(5, "stdout", b"\xff\n", 0.5), warning, kind=RawJSON)]
    assert [line["event"] for line in lines] == ["StepStarted", "StepOutput", "WarningFound"]
    assert lines[1]["data"] == "\ufffd\n"
    assert lines[2]["where"]["line"] == 3


@pytest.mark.parametrize("error", [errno.EPIPE, errno.EIO])
def test_a_reader_or_a_terminal_that_goes_away_is_no_error(monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    class Gone(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(error, "gone")

    monkeypatch.setattr("fswatch_builder.cli.render.silence", lambda _stream: None)
    renderer = Plain(Pipe(Gone()))
    renderer.emit(START)
    renderer.emit(START)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0B"), (999, "999B"), (1000, "1kB"), (1234567, "1.23MB"), (5 * 10**9, "5GB"), (10**13, "10TB")],
)
def test_sizes(size: int, text: str) -> None:
    assert size_text(size) == text
