"""The words of the report for each thing that can differ, from real changes on disk."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fswatch_builder._native import Baseline, Change, HintSet, Rootfs
from fswatch_builder.cli.change_text import _details, _path, consequences

SECOND = 10**9


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "d").mkdir()
    (tmp_path / "f").write_text("x")
    os.utime(tmp_path / "f", ns=(0, 86400 * SECOND))
    return tmp_path


def changes(tree: Path, change: Callable[[Path], object]) -> list[Change]:
    rootfs = Rootfs(os.fsencode(tree))
    baseline, _ = Baseline.record(rootfs)
    change(tree)
    hints = HintSet()
    hints.add(b"", "subtree")
    return baseline.reconcile(rootfs, hints).changes


def rewrite(tree: Path) -> None:
    (tree / "f").write_text("y")


def replace(tree: Path) -> None:
    (tree / "f").unlink()
    (tree / "f").symlink_to("d")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (rewrite, "content, 1B as before"),
        (lambda tree: (tree / "f").write_text("longer"), "content 1B -> 6B"),
        (lambda tree: (tree / "f").chmod(0o4700), "mode 0644 -> 4700"),
        (replace, "file -> -> d"),
        (lambda tree: (tree / "f").unlink(), "file"),
        (lambda tree: os.link(tree / "f", tree / "f2"), "hard links 1 -> 2"),
    ],
)
def test_what_differs_is_said_in_words(tree: Path, change: Callable[[Path], object], says: str) -> None:
    found = {one.path: _details(one) for one in changes(tree, change)}
    assert found[b"f"] == says


def test_a_name_that_would_steer_a_terminal_is_spelled_out_and_loses_nothing(tree: Path) -> None:
    told, *_ = changes(tree, lambda tree: (tree / "a\x1b[31mb\nc").touch())
    assert _path(told) == "a\\x1b[31mb\\nc"


@pytest.mark.root
def test_owners_and_devices_are_told_by_number(tree: Path) -> None:
    (told,) = changes(tree, lambda tree: os.chown(tree / "f", 1, 2))
    assert _details(told) == "owner 0 -> 1, group 0 -> 2"
    told, *_ = changes(tree, lambda tree: os.mknod(tree / "c", 0o20600, os.makedev(1, 3)))
    assert _details(told) == "char device 1:3 0600"


def test_a_time_alone_is_told_in_full(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    try:
        (told,) = changes(tree, lambda tree: os.utime(tree / "f", ns=(0, 2 * 86400 * SECOND + 5_000_000)))
        assert _details(told) == "mtime 1970-01-02 00:00:00.000 -> 1970-01-03 00:00:00.005"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_directory_is_a_consequence_only_of_what_came_went_or_was_replaced_in_it(tree: Path) -> None:
    found = changes(tree, lambda tree: (tree / "d/new").write_text("1"))
    assert consequences(found) == {b"d"}
    found = changes(tree, lambda tree: os.utime(tree / "d", ns=(0, 0)))
    assert consequences(found) == set()

    def more_than_the_time(tree: Path) -> None:
        (tree / "d/newer").write_text("1")
        (tree / "d").chmod(0o700)

    assert consequences(changes(tree, more_than_the_time)) == set()


def test_a_directory_ends_with_a_slash_and_the_root_is_a_dot(tree: Path) -> None:
    def two_modes(tree: Path) -> None:
        tree.chmod(0o750)
        (tree / "d").chmod(0o700)

    found = changes(tree, two_modes)
    assert [_path(change) for change in found] == ["./", "d/"]
