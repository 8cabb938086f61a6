"""What a listing tells of two trees: which path, and what of it."""

import os
from collections.abc import Callable

import pytest

from fswatch_builder._native import RefusedError, content, listing_differences
from tests.unit.native.trees import Tree

Told = list[tuple[str, list[str]]]


def build(tree: Tree) -> None:
    tree.file("d/f", "text")
    tree.file("d/s/g", "more")
    tree.file("d/h", "more")
    tree.link("d/l", "f")
    tree.directory("d/s")


def listing(tree: Tree, *paths: bytes, owners: bool = False) -> bytes:
    return content(tree.root, list(paths or (b"d",)), owners=owners).listing


def told(before: bytes, after: bytes, most: int = 10) -> Told:
    return [(os.fsdecode(one.path), one.what) for one in listing_differences(before, after, most)[0]]


def relink(tree: Tree) -> None:
    (tree.path / "d/l").unlink()
    tree.link("d/l", "g")


def hard_link(tree: Tree) -> None:
    (tree.path / "d/h").unlink()
    os.link(tree.path / "d/f", tree.path / "d/h")


def make_a_directory(tree: Tree) -> None:
    (tree.path / "d/f").unlink()
    tree.directory("d/f")


CHANGES: list[tuple[Callable[[Tree], object], Told]] = [
    (lambda tree: tree.file("d/f", "texT"), [("d/f", ["content"])]),
    (lambda tree: tree.file("d/s/g", "other", mode=0o755), [("d/s/g", ["content", "mode"])]),
    (lambda tree: (tree.path / "d/f").rename(tree.path / "d/k"), [("d/f", ["removed"]), ("d/k", ["added"])]),
    (lambda tree: (tree.path / "d/s").chmod(0o700), [("d/s", ["mode"])]),
    (lambda tree: os.setxattr(tree.path / "d/s", "user.x", b"1"), [("d/s", ["xattrs"])]),
    (lambda tree: tree.file("d/new/a/b"), [("d/new", ["added"])]),
    (relink, [("d/l", ["target"])]),
    (hard_link, [("d/h", ["content", "links"])]),
    (make_a_directory, [("d/f", ["kind"])]),
]


@pytest.mark.parametrize(("change", "expected"), CHANGES)
def test_every_kind_of_difference_is_told(context: Tree, change: Callable[[Tree], object], expected: Told) -> None:
    build(context)
    before = listing(context)
    change(context)
    assert told(before, listing(context)) == expected


@pytest.mark.root
def test_owners_are_told_if_they_count(context: Tree) -> None:
    build(context)
    before, without = listing(context, owners=True), listing(context)
    os.chown(context.path / "d/s/g", 1, 2)
    assert told(before, listing(context, owners=True)) == [("d/s/g", ["owner"])]
    assert told(without, listing(context)) == []


def test_a_time_is_no_difference(context: Tree) -> None:
    build(context)
    before = listing(context)
    context.age("d/f", "d/s", mtime_ns=1)
    assert told(before, listing(context)) == []


def test_paths_are_spelled_as_they_are_given(context: Tree) -> None:
    build(context)
    before = listing(context, b"", b"d/f")
    context.file("d/f", "other")
    assert told(before, listing(context, b"", b"d/f")) == [("d/f", ["content"]), ("d/f", ["content"])]


def test_the_first_are_told_and_all_are_counted(context: Tree) -> None:
    for number in range(10):
        context.file(f"d/{number}", "1")
    before = listing(context)
    for number in range(10):
        context.file(f"d/{number}", "2")
    found, count = listing_differences(before, listing(context), 3)
    assert ([one.path for one in found], count) == ([b"d/0", b"d/1", b"d/2"], 10)


def test_of_a_large_directory_the_others_keep_their_files(context: Tree) -> None:
    for number in range(5_000):
        context.file(f"d/node_modules/{number}")
    for number in range(100):
        context.file(f"d/src/{number}")
    before = listing(context)
    context.file("d/node_modules/17", "other")
    context.file("d/src/17", "other")
    after = listing(context)
    assert told(before, after) == [("d/node_modules", ["below"]), ("d/src/17", ["content"])]
    assert len(after) < 20_000


def test_a_listing_is_small_whatever_it_lists(context: Tree) -> None:
    for outer in range(70):
        for inner in range(70):
            context.file(f"d/{outer:02}/{inner:02}/f")
    before = listing(context)
    context.file("d/03/05/f", "other")
    context.file("d/60/05/f", "other")
    assert told(before, listing(context)) == [("d/03/05/f", ["content"]), ("d/60", ["below"])]
    assert len(before) < 400_000


@pytest.mark.parametrize("damage", [b"", b"\0", b"\1", b"\1" + b"\xff" * 200])
def test_what_is_no_listing_is_refused(context: Tree, damage: bytes) -> None:
    build(context)
    for pair in ((damage, listing(context)), (listing(context), damage), (listing(context)[:-1], listing(context))):
        with pytest.raises(RefusedError, match="listing"):
            listing_differences(*pair, 5)
