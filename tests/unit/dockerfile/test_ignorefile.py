"""Which ignore file counts, and what its lines mean."""

import os
from pathlib import Path

import pytest

from fswatch_builder.dockerfile.ignorefile import MAX_SIZE, patterns, read_ignore
from fswatch_builder.errors import BuildContextError, Location


def from_directory(directory: Path, dockerfile: str = "Dockerfile") -> list[bytes]:
    return read_ignore(os.fsencode(directory), os.fsencode(directory / dockerfile))


def test_no_file_no_patterns(tmp_path: Path) -> None:
    assert from_directory(tmp_path) == []


def test_the_dockerfiles_own_file_wins(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_bytes(b"a\n")
    assert from_directory(tmp_path) == [b"a"]
    (tmp_path / "Dockerfile.dockerignore").write_bytes(b"b\n")
    assert from_directory(tmp_path) == [b"b"]
    assert from_directory(tmp_path, "other") == [b"a"]


def test_an_empty_file_of_its_own_ignores_nothing(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_bytes(b"a\n")
    (tmp_path / "Dockerfile.dockerignore").write_bytes(b"")
    assert from_directory(tmp_path) == []


def test_a_dockerfile_elsewhere_takes_its_file_along(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "D.dockerignore").write_bytes(b"x\n")
    context = tmp_path / "context"
    context.mkdir()
    (context / ".dockerignore").write_bytes(b"y\n")
    assert read_ignore(os.fsencode(context), os.fsencode(elsewhere / "D")) == [b"x"]


@pytest.mark.parametrize(
    ("line", "pattern"),
    [
        (b"a", b"a"),
        (b"  a b \t", b"a b"),
        (b"/a/b/", b"a/b"),
        (b"//a", b"a"),
        (b"./a/../b//c", b"b/c"),
        (b"!./x", b"!x"),
        (b"! x", b"!x"),
        (b"!/x", b"!x"),
        (b"**/*.pyc", b"**/*.pyc"),
        (b" # not a comment", b"# not a comment"),
        (b"a#b", b"a#b"),
        (b"/", b"/"),
        (b".", b"."),
        (b"../x", b"../x"),
        (b"a\r", b"a"),
        (b"\xff\xfe", b"\xff\xfe"),
        (b"\xef\xbb\xbfa", b"a"),
        (b"\\!a", b"\\!a"),
    ],
)
def test_lines(line: bytes, pattern: bytes) -> None:
    assert patterns(line, "f") == [pattern]


def test_comments_and_blank_lines_are_nothing_and_order_is_kept() -> None:
    assert patterns(b"# c\n\n*\n \t\n!a\na/b", "f") == [b"*", b"!a", b"a/b"]


@pytest.mark.parametrize("line", [b"!", b" ! ", b"!\t"])
def test_a_lone_exclamation_mark_fails(line: bytes) -> None:
    with pytest.raises(BuildContextError, match="illegal exclusion pattern") as caught:
        patterns(b"a\n" + line, "f")
    assert caught.value.where == Location("f", 2)


def test_a_fifo_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".dockerignore")
    with pytest.raises(BuildContextError, match="not a regular file"):
        from_directory(tmp_path)


def test_a_directory_is_no_ignore_file(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").mkdir()
    with pytest.raises(BuildContextError, match=r"\.dockerignore"):
        from_directory(tmp_path)


def test_a_link_that_goes_round_is_an_error_not_absent(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").symlink_to(".dockerignore")
    with pytest.raises(BuildContextError, match="cannot read the ignore file"):
        from_directory(tmp_path)


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    with (tmp_path / ".dockerignore").open("wb") as file:
        file.truncate(MAX_SIZE + 1)
    with pytest.raises(BuildContextError, match="larger than"):
        from_directory(tmp_path)
