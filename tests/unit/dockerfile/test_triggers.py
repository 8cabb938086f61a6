"""I12: what ONBUILD stores, and what a stage makes of it later."""

import pytest

from fswatch_builder.dockerfile.parser import trigger
from fswatch_builder.errors import DockerfileError, Location
from fswatch_builder.model.instruction import Copy, Env, Maintainer, Onbuild, Run, Word
from tests.unit.dockerfile.reading import error, one

HERE = Location("Dockerfile", 7, 1, 7)


@pytest.mark.parametrize(
    ("line", "stored"),
    [
        ("ONBUILD RUN make", "RUN make"),
        ("onbuild  run   make  -j2 ", "run   make  -j2"),
        ("ONBUILD COPY --from=x \\\n  a b", "COPY --from=x   a b"),
        ("ONBUILD ENV A=$B", "ENV A=$B"),
        ("ONBUILD COPY <<A <<-B /d/\nx\nA\n\ty\n\tB", "COPY <<A <<-B /d/\nx\nA\ny\nB"),
    ],
)
def test_the_trigger_is_kept_as_text_with_its_heredocs(line: str, stored: str) -> None:
    assert one(Onbuild, line).trigger == stored


@pytest.mark.parametrize(
    ("line", "what", "column"),
    [
        ("ONBUILD", "ONBUILD requires at least one argument", 1),
        ("ONBUILD ONBUILD RUN x", "chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", 9),
        ("ONBUILD from x", "FROM isn't allowed as an ONBUILD trigger", 9),
        ("ONBUILD MAINTAINER x", "MAINTAINER isn't allowed as an ONBUILD trigger", 9),
        ("ONBUILD RUNN x", "the ONBUILD trigger 'RUNN x': unknown instruction: RUNN", 1),
        ("ONBUILD ENV", "the ONBUILD trigger 'ENV': ENV requires at least one argument", 1),
    ],
)
def test_what_could_never_run_is_refused_where_it_stands(line: str, what: str, column: int) -> None:
    found = error(f"FROM a\n{line}\n")
    assert found.what == what
    assert found.where is not None
    assert (found.where.line, found.where.column) == (2, column)


def test_all_of_a_trigger_stands_at_the_from_of_the_stage_that_runs_it() -> None:
    env = trigger("ENV A=1 B=$C", HERE)
    assert isinstance(env, Env)
    assert env.source == "ONBUILD ENV A=1 B=$C"
    assert env.items[1] == (Word("B", HERE), Word("$C", HERE))
    copy = trigger("COPY --from=s --chown=$U <<E x /d\nbody\nE", HERE)
    assert isinstance(copy, Copy)
    assert copy.chown == Word("$U", HERE)
    run = trigger("RUN a \\\n  b", HERE)
    assert isinstance(run, Run)
    assert (run.argv, run.where) == (("a   b",), HERE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing",
        "FROM x",
        "ONBUILD RUN x",
        "MAINTAINER x",
        "RUN a\nRUN b",
        "RUN <<E\nx",
        "NOPE",
        "RUN \0",
        "\ud800",
    ],
)
def test_an_image_with_a_bad_trigger_is_refused_at_its_from(text: str) -> None:
    with pytest.raises(DockerfileError, match="the ONBUILD trigger") as caught:
        trigger(text, HERE)
    assert caught.value.where == HERE


def test_the_escape_of_a_trigger_is_the_backslash() -> None:
    run = trigger("# escape=`\nRUN a", HERE)  # a directive of the text's own would be honoured
    assert isinstance(run, Run)
    assert isinstance(trigger("RUN a", HERE), Run)


def test_maintainer_is_the_rest_of_the_line() -> None:
    assert one(Maintainer, "MAINTAINER  Me <me@example.org> ").author == "Me <me@example.org>"
    assert error("FROM a\nMAINTAINER\n").what == "MAINTAINER requires exactly one argument"
