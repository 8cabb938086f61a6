"""What of a directory is copied: ignore files, patterns of what to take."""

from fswatch_builder._native import IgnorePatterns, copy
from tests.unit.native.trees import OLD, Tree

Owner = tuple[int, int]


def test_ignored_is_not_copied_nor_harmed(context: Tree, rootfs: Tree, me: Owner) -> None:  # hazards F13, F15
    for name in (".git/config", "a/.git/config", "a/f", "b/keep/x", "b/drop/x", "c/x", "x"):
        context.file(name)
    context.directory("b", 0o711)
    context.age("b")
    ignore = IgnorePatterns([b"**/.git", b"b", b"!b/keep", b"c", b"!c/nothing", b"x"])
    copied = copy(context.root, [b""], rootfs.root, b"/", owner=me, ignore=ignore)
    assert copied.paths == [b"a", b"a/f", b"b", b"b/keep", b"b/keep/x"]
    assert rootfs.stat("b") == (0o711, *me, OLD)
    assert (context.path / ".git/config").exists()
    assert (context.path / "c/x").exists()


def test_everything_but_one(context: Tree, rootfs: Tree, me: Owner) -> None:  # hazard F14
    context.file("x")
    context.file("y")
    copied = copy(context.root, [b""], rootfs.root, b"/", owner=me, ignore=IgnorePatterns([b"*", b"!./x"]))
    assert copied.paths == [b"x"]


def test_without_patterns_nothing_is_ignored(context: Tree, rootfs: Tree, me: Owner) -> None:  # hazard F16
    context.file(".dockerignore", "*")
    context.file("f")
    assert copy(context.root, [b""], rootfs.root, b"/", owner=me).paths == [b".dockerignore", b"f"]


def test_what_is_included_brings_the_directories_above_it(context: Tree, rootfs: Tree, me: Owner) -> None:
    for name in ("a/b/c.x", "a/b/d.y", "a/e.x", "f.x", "g/h.y"):
        context.file(name)
    context.directory("a/b", 0o700)
    include = IgnorePatterns.one(b"a/**/*.x")
    copied = copy(context.root, [b""], rootfs.root, b"/o", include=include, owner=me)
    assert copied.paths == [b"o", b"o/a", b"o/a/b", b"o/a/b/c.x", b"o/a/e.x"]
    assert copied.led_through == []
    assert rootfs.stat("o/a/b").mode == 0o700


def test_a_directory_that_is_included_is_taken_whole(context: Tree, rootfs: Tree, me: Owner) -> None:
    for name in ("a/b/c", "a/b/d/e", "a/f"):
        context.file(name)
    copied = copy(
        context.root,
        [b"a"],
        rootfs.root,
        b"/",
        include=IgnorePatterns.one(b"b"),
        exclude=IgnorePatterns([b"**/e", b"!b/d"]),
        owner=me,
    )
    assert copied.paths == [b"b", b"b/c", b"b/d"]


def test_patterns_are_relative_to_each_source(context: Tree, rootfs: Tree, me: Owner) -> None:
    for name in ("s/a/x", "s/x", "t/a/x", "t/a/y"):
        context.file(name)
    exclude = IgnorePatterns([b"a/x"])
    assert copy(context.root, [b"s", b"t"], rootfs.root, b"/", exclude=exclude, owner=me).paths == [b"a", b"a/y", b"x"]


def test_an_ignored_file_is_not_included(context: Tree, rootfs: Tree, me: Owner) -> None:
    for name in ("s/a/x", "s/a/y"):
        context.file(name)
    ignore, include = IgnorePatterns([b"s/a/x"]), IgnorePatterns.one(b"a/*")
    assert copy(context.root, [b"s"], rootfs.root, b"/", ignore=ignore, include=include, owner=me).paths == [
        b"a",
        b"a/y",
    ]
