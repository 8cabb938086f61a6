"""The file as a whole, and how its errors are told."""

from itertools import pairwise

import pytest

from fswatch_builder.errors import DockerfileError, Location
from fswatch_builder.model.instruction import Arg, From, Run
from tests.unit.dockerfile.reading import error, read


@pytest.mark.parametrize("text", ["", "\n\n", "# only\n# comments\n", "\ufeff", "  \t\n"])
def test_a_file_without_instructions(text: str) -> None:
    found = error(text)
    assert found.what == "the Dockerfile cannot be empty"
    assert found.where is not None


def test_a_file_without_stages() -> None:
    assert error("ARG a=1\nARG b\n").what == "dockerfile contains no stages to build"


def test_an_instruction_before_from() -> None:
    found = error("ARG a\nRUN x\nFROM b\n")
    assert found.what == "no build stage in current context: RUN stands before the first FROM"
    assert found.where == Location("Dockerfile", 2, 1, 2)


@pytest.mark.parametrize(
    ("line", "hint"), [("RUNN x", "did you mean RUN?"), ("form a", "did you mean FROM?"), ("xyzzy", None)]
)
def test_unknown_instruction(line: str, hint: str | None) -> None:
    found = error(f"FROM a\n\n  {line}\n")
    assert found.what == f"unknown instruction: {line.split()[0]}"
    assert found.hint == hint
    assert found.where == Location("Dockerfile", 3, 3)
    assert str(found.where) == "Dockerfile:3"


def test_an_error_tells_all_its_lines() -> None:
    found = error("FROM a\nCOPY \\\n \\\n x\n")
    assert str(found.where) == "Dockerfile:2-4"


def test_warnings_before_the_error_are_kept() -> None:
    found = error("FROM a AS B\nRUN x \\\n\n y\nNOPE\n")
    assert [warning.rule for warning in found.warnings] == ["StageNameCasing", "NoEmptyContinuation"]
    assert isinstance(found, DockerfileError)
    assert found.exit_status == 3


def test_a_continued_nothing_is_an_error() -> None:
    assert error("FROM a\n\\\n\n").where == Location("Dockerfile", 2)


def test_keywords_may_be_spelled_in_any_case_and_stand_behind_blanks() -> None:
    file = read("\t from a\nrUn x\n")
    assert [type(one) for one in file.instructions] == [From, Run]
    assert file.instructions[0].where == Location("Dockerfile", 1, 3, 1)


def test_global_args_come_before_the_stages() -> None:
    file = read("ARG a=1\nFROM $a\nARG a\n")
    assert [type(one) for one in file.instructions] == [Arg, From, Arg]


def test_source_is_the_line_with_continuations_joined() -> None:
    assert read("FROM a\n RUN x \\\n  # c\n y \n").instructions[1].source == "RUN x  y"


def test_five_thousand_lines_cost_five_thousand_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each physical line is taken once, and places are found by bisection: no line is read for another one's sake."""
    from fswatch_builder.dockerfile.lines import LineReader

    taken = 0
    take = LineReader._take

    def counted(self: LineReader) -> str:
        nonlocal taken
        taken += 1
        return take(self)

    monkeypatch.setattr(LineReader, "_take", counted)
    lines = ["FROM scratch"]
    for number in range(1_000):
        lines += [f"RUN step {number} \\", "  # comment", "  more \\", "", "  most"]
    file = read("\n".join(lines))
    assert taken == len(lines) == 5_001
    assert all(first.where.line < second.where.line for first, second in pairwise(file.instructions))
    assert len(file.warnings) == 1_000
