import os
from collections.abc import Callable

import pytest

from fswatch_builder._native import IgnorePatterns, content
from tests.unit.native.trees import Tree


def build(tree: Tree) -> None:
    tree.file("d/f", "text")
    tree.file("d/s/g", "more")
    tree.link("d/l", "f")
    for name in ("d/s", "d/empty"):
        tree.directory(name, 0o755)


def digest(tree: Tree, *paths: bytes, owners: bool = False) -> bytes:
    return content(tree.root, list(paths or (b"d",)), owners=owners).digest


def test_a_fresh_checkout_is_the_same_content(context: Tree, rootfs: Tree) -> None:  # hazards H8, H10
    build(context)
    build(rootfs)
    rootfs.age("d/f", "d/s", "d", mtime_ns=1)
    assert digest(context) == digest(rootfs)


def relink(tree: Tree) -> None:
    (tree.path / "d/l").unlink()
    tree.link("d/l", "g")


def split_name(tree: Tree) -> None:
    # The same bytes in a row, cut elsewhere.
    (tree.path / "d/s/g").rename(tree.path / "d/s/gm")
    (tree.path / "d/s/gm").write_text("ore")


def hard_link(tree: Tree) -> None:
    (tree.path / "d/s/g").unlink()
    os.link(tree.path / "d/f", tree.path / "d/s/g")


CHANGES: list[Callable[[Tree], object]] = [
    lambda tree: tree.file("d/f", "texT"),
    lambda tree: (tree.path / "d/f").rename(tree.path / "d/h"),  # hazard H7
    lambda tree: (tree.path / "d/f").chmod(0o755),
    lambda tree: (tree.path / "d/s").chmod(0o700),
    lambda tree: os.setxattr(tree.path / "d/f", "user.x", b"1"),
    lambda tree: os.setxattr(tree.path / "d/s", "user.x", b"1"),
    lambda tree: (tree.path / "d/empty").rmdir(),
    lambda tree: (tree.path / "d/s/g").rename(tree.path / "d/empty/g"),
    lambda tree: os.mkfifo(tree.path / "d/pipe"),
    relink,
    split_name,
    hard_link,
]


@pytest.mark.parametrize("change", CHANGES)
def test_every_difference_a_copy_would_show(context: Tree, change: Callable[[Tree], object]) -> None:
    build(context)
    before = digest(context)
    change(context)
    assert digest(context) != before


def test_hard_links_count_against_equal_files(context: Tree, rootfs: Tree) -> None:
    for tree in (context, rootfs):
        tree.file("d/f", "text")
    os.link(context.path / "d/f", context.path / "d/g")
    rootfs.file("d/g", "text")
    assert digest(context) != digest(rootfs)


def test_a_link_from_outside_the_copy_does_not_count(context: Tree) -> None:
    build(context)
    before = digest(context)
    os.link(context.path / "d/f", context.path / "outside")
    assert digest(context) == before


def test_a_file_counts_with_its_name_a_directory_without(context: Tree) -> None:
    context.file("a", "text")
    context.file("b", "text")
    context.file("x/f")
    context.file("y/f")
    context.directory("y", 0o700)
    assert digest(context, b"a") != digest(context, b"b")
    assert digest(context, b"x") == digest(context, b"y")
    assert digest(context, b"a", b"b") != digest(context, b"b", b"a")


@pytest.mark.root
def test_owners_count_if_asked(context: Tree) -> None:  # hazard H13
    build(context)
    with_owners, without = digest(context, owners=True), digest(context)
    os.chown(context.path / "d/s/g", 1, 2)
    assert digest(context, owners=True) != with_owners
    assert digest(context) == without


def test_ignored_content_does_not_count(context: Tree) -> None:
    build(context)
    ignore = IgnorePatterns([b"d/s"])
    before = content(context.root, [b"d"], ignore=ignore, owners=False).digest
    context.file("d/s/g", "other")
    assert content(context.root, [b"d"], ignore=ignore, owners=False).digest == before


def test_the_digest_is_pinned(context: Tree) -> None:
    # A change of the record format without a new version in it would be a false hit in every cache.
    build(context)
    assert digest(context).hex() == "994786658ad7e043ea6a5d94664a553bd66f186342ab37b081470a060978392b"


def test_a_missing_path_is_an_error(context: Tree) -> None:
    with pytest.raises(FileNotFoundError):
        digest(context, b"no")
