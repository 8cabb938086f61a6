"""Rows that stay."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from fswatch_builder.errors import OutputError, UsageError
from fswatch_builder.research.journal import Journal


@dataclass(frozen=True)
class Header:
    what: str


@dataclass(frozen=True)
class Line:
    number: int


def opened(path: Path, what: str = "one") -> Journal[Header, Line]:
    return Journal(str(path), Header(what), Line)


def test_rows_are_there_when_the_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    with opened(path) as journal:
        journal.add(Line(1))
        journal.add(Line(2))
    with opened(path) as again:
        assert again.rows == [Line(1), Line(2)]
        again.add(Line(3))
    with opened(path) as last:
        assert last.rows == [Line(1), Line(2), Line(3)]


def test_a_row_that_was_cut_off_is_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    with opened(path) as journal:
        journal.add(Line(1))
        journal.add(Line(2))
    path.write_bytes(path.read_bytes()[:-4])
    with opened(path) as again:
        assert again.rows == [Line(1)]
        again.add(Line(5))
    with opened(path) as last:
        assert last.rows == [Line(1), Line(5)]


def test_rows_of_another_run_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    with opened(path):
        before = path.read_bytes()
    with pytest.raises(UsageError, match="another run"):
        opened(path, "two")
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"not a journal\n", b'{"what":"one"}\n{"number":"x"}\n', b"no end of line"])
def test_what_is_no_journal_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rows"
    path.write_bytes(content)
    with pytest.raises(UsageError):
        opened(path)
    assert path.read_bytes() == content


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        opened(tmp_path / "missing" / "rows")
