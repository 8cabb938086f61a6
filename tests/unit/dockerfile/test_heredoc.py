"""Heredocs: what opens one, what RUN, COPY and ADD make of it."""

import pytest

from fswatch_builder.dockerfile.heredoc import Opening, opening, openings
from fswatch_builder.errors import Location
from fswatch_builder.model.instruction import Copy, Heredoc, Onbuild, Run
from tests.unit.dockerfile.reading import error, one, read


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("<<EOF", Opening("EOF", True, False, 0)),
        ("<<-EOF", Opening("EOF", True, True, 0)),
        ("<<'EOF'", Opening("EOF", False, False, 0)),
        ('<<-"E O"', Opening("E O", False, True, 0)),
        ("<<E'O'F", Opening("EOF", False, False, 0)),
        ("<<E\\'F", Opening("E'F", True, False, 0)),
        ("3<<EOF", Opening("EOF", True, False, 3)),
        ("<< EOF", Opening("EOF", True, False, 0)),
        ("<<$X", Opening("$X", True, False, 0)),
        ("<<<word", None),
        ("<<", None),
        ("<<-", None),
        ("a<<EOF", None),
        ("<EOF", None),
        ("<<'open", None),
        ("<<a b", None),
    ],
)
def test_what_opens_a_heredoc(word: str, found: Opening | None) -> None:
    assert opening(word) == found


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("RUN cat <<A <<B", ["A", "B"]),
        ("RUN cat << A", ["A"]),
        ("RUN cat <<- A", ["A"]),
        ('RUN echo "<<A"', []),
        ("RUN echo '<<A' <<B", ["B"]),
        ("RUN echo \\<<A", []),
        ("RUN echo don't <<A", []),  # the shell will complain
        ("RUN cat <<A>out", ["A>out"]),
        ("RUN cat <<A > out", ["A"]),
        ("RUN read x <<< word", []),
        ("RUN echo $((1 << 2)) $((1<<2)) <<A", ["A"]),
        ("RUN echo $((1 << 2", ["2"]),
    ],
)
def test_what_a_line_opens(line: str, names: list[str]) -> None:
    assert [one.name for one in openings(line)] == names


def test_run_keeps_its_command_and_all_bodies() -> None:
    run = one(Run, "RUN 3<<A cat <<-'B'\n$x\n \\\nA\n\tb\n\t\tc\n\tB")
    assert (run.form, run.argv) == ("shell", ("3<<A cat <<-'B'",))
    assert run.heredocs == (
        Heredoc("A", "$x\n \\\n", expand=True, chomp=False, fd=3),
        Heredoc("B", "b\nc\n", expand=False, chomp=True, fd=0),
    )
    assert (run.where.line, run.where.end_line) == (2, 8)


def test_a_body_is_not_parsed() -> None:
    run = one(Run, "RUN <<E\n# kept\n\nFROM x\n<<F\nE")
    assert run.heredocs[0].body == "# kept\n\nFROM x\n<<F\n"


def test_a_body_keeps_crlf_and_its_end_is_found() -> None:
    run = one(Run, "RUN <<E\r\na\r\nE\r")
    assert run.heredocs[0].body == "a\r\n"


def test_the_json_form_has_no_heredocs() -> None:
    assert one(Run, 'RUN ["cat", "<<E"]').heredocs == ()


def test_an_unterminated_heredoc_is_an_error_with_all_its_lines() -> None:
    found = error("FROM a\nRUN <<EOF\nb\n EOF\n")
    assert found.what == "unterminated heredoc: no line consists of EOF"
    assert found.where == Location("Dockerfile", 2, 1, 4)


def test_a_source_becomes_its_heredoc() -> None:
    copy = one(Copy, 'COPY <<a x <<"b" /d/\n1\na\n2\nb')
    first, path, second = copy.sources
    assert first == Heredoc("a", "1\n", expand=True)
    assert str(path) == "x"
    assert second == Heredoc("b", "2\n", expand=False)
    assert str(copy.dest) == "/d/"


def test_a_blank_before_the_name() -> None:
    copy = one(Copy, "COPY << a /d\n1\na")
    assert copy.sources == (Heredoc("a", "1\n", expand=True),)


def test_one_name_twice_has_two_bodies() -> None:
    copy = one(Copy, "COPY <<a <<a /d/\n1\na\n2\na")
    assert [source.body for source in copy.sources] == ["1\n", "2\n"]


@pytest.mark.parametrize("line", ["COPY x <<E", "ADD x << E"])
def test_a_heredoc_is_no_destination(line: str) -> None:
    found = error(f"FROM a\n{line}\nb\nE\n")
    assert found.what == f"{line.split()[0]} cannot accept a heredoc as a destination"


@pytest.mark.parametrize("name", ["a/b", "/a", "..", "."])
def test_a_heredoc_names_a_file_not_a_path(name: str) -> None:
    found = error(f"FROM a\nCOPY <<{name} /d/\nb\n{name}\n")
    assert found.what == f"a heredoc's name is the file's name, so it cannot be {name}"
    assert len(read(f"FROM a\nRUN <<{name}\nb\n{name}\n").instructions) == 2


def test_onbuild_takes_the_body_with_it() -> None:
    file = read("FROM a\nONBUILD RUN <<E\nb\nE\nUSER c\n")
    (_, onbuild, _) = file.instructions
    assert isinstance(onbuild, Onbuild)
    assert onbuild.trigger == "RUN <<E\nb\nE"


@pytest.mark.parametrize("keyword", ["CMD", "ENV", "LABEL"])
def test_other_instructions_open_none(keyword: str) -> None:
    assert len(read(f"FROM a\n{keyword} a=b <<E=c\nUSER d\n").instructions) == 3
