import os

import pytest

from fswatch_builder._native import IgnorePatterns, RefusedError, expand
from tests.unit.native.trees import Tree


def test_a_literal_is_itself_cleaned(context: Tree) -> None:
    context.file("d/f")
    for spelled in (b"d/f", b"/d/f", b"./d//f", b"d/../../d/f", b"d/f/"):
        assert expand(context.root, spelled) == [b"d/f"]
    assert expand(context.root, b".") == [b""]
    assert expand(context.root, b"/") == [b""]


def test_a_literal_that_is_missing_is_named_as_spelled(context: Tree) -> None:
    with pytest.raises(FileNotFoundError) as failed:
        expand(context.root, b"/no/./f")
    assert failed.value.filename == b"/no/./f"


def test_no_match_is_no_error(context: Tree) -> None:  # hazard F8
    assert expand(context.root, b"*.txt") == []
    assert expand(context.root, b"no/such/*") == []


def test_a_star_stops_at_a_slash_and_matches_are_sorted(context: Tree) -> None:
    for name in ("b.txt", "a.txt", "d/c.txt", "e/c.txt", "e/x/c.txt", ".hidden.txt"):
        context.file(name)
    assert expand(context.root, b"*.txt") == [b".hidden.txt", b"a.txt", b"b.txt"]
    assert expand(context.root, b"*/c.txt") == [b"d/c.txt", b"e/c.txt"]
    assert expand(context.root, b"[de]/*") == [b"d/c.txt", b"e/c.txt", b"e/x"]


def test_a_bracket_is_escaped_by_a_class(context: Tree) -> None:
    context.file("[x]")
    context.file("x")
    assert expand(context.root, b"[[]x]") == [b"[x]"]
    assert expand(context.root, rb"\[x\]") == [b"[x]"]
    assert expand(context.root, b"[x]") == [b"x"]


def test_a_bad_pattern_is_refused(context: Tree) -> None:
    with pytest.raises(RefusedError, match="syntax error"):
        expand(context.root, b"[x")


def test_names_that_are_no_text(context: Tree) -> None:
    (context.path / os.fsdecode(b"\xff\xfe")).write_bytes(b"")
    assert expand(context.root, b"\xff?") == [b"\xff\xfe"]
    assert expand(context.root, b"\xff\xfe") == [b"\xff\xfe"]


def test_links_on_the_way_stay_inside(context: Tree) -> None:  # hazard L3
    context.file("etc/shadow", "mine")
    context.link("up", "../../../../../etc")
    context.link("abs", "/etc")
    assert expand(context.root, b"up/shadow") == [b"up/shadow"]
    assert expand(context.root, b"abs/*") == [b"abs/shadow"]
    with pytest.raises(FileNotFoundError):
        expand(context.root, b"abs/hostname")


def test_a_wildcard_does_not_go_through_a_link(context: Tree) -> None:
    context.file("d/f")
    context.link("l", "d")
    assert expand(context.root, b"*/f") == [b"d/f"]


def test_ignored_is_missing(context: Tree) -> None:
    context.file("secret")
    context.file("d/f")
    context.file("e/f")
    context.link("l", "secret")
    ignore = IgnorePatterns([b"secret", b"d", b"e", b"!e/f"])
    for spelled in (b"secret", b"d", b"d/f", b"l"):
        with pytest.raises(FileNotFoundError):
            expand(context.root, spelled, ignore=ignore)
    assert expand(context.root, b"*", ignore=ignore) == [b"e"]
    assert expand(context.root, b"e", ignore=ignore) == [b"e"]
    assert expand(context.root, b"*") == [b"d", b"e", b"l", b"secret"]


def test_what_is_excluded_is_no_match_of_a_wildcard(context: Tree) -> None:
    for name in ("a.x", "b.y", "d/c.x"):
        context.file(name)
    exclude = IgnorePatterns([b"*.x"])
    assert expand(context.root, b"*", exclude=exclude) == [b"b.y", b"d"]
    assert expand(context.root, b"d/*", exclude=exclude) == []
    assert expand(context.root, b"a.x", exclude=exclude) == [b"a.x"]
