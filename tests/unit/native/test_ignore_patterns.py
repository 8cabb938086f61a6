import os
import re
import tempfile
from pathlib import Path

import pytest
from e2b_dockerfile_utils import PatternMatcher
from hypothesis import given, settings
from hypothesis import strategies as st

from fswatch_builder._native import IgnorePatterns, RefusedError, Rootfs, copy

NAMES = st.sampled_from(["a", "b", "ab", "ba", ".git", "x.md", "é"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
PARTS = st.one_of(
    NAMES,
    st.sampled_from(["*", "**", "?", "a*", "*b", "[ab]", "[^a]b", "**b", "a**", "***", "..", ".", r"\a", "*.md", ""]),
)
PATTERNS = st.builds(
    lambda mark, slash, parts, end: mark + slash + "/".join(parts) + end,
    st.sampled_from(["", "", "!", " ", "! "]),
    st.sampled_from(["", "", "/", "./"]),
    st.lists(PARTS, min_size=1, max_size=4),
    st.sampled_from(["", "", "/", " "]),
)


@settings(max_examples=600, deadline=None)
@given(st.lists(PATTERNS, max_size=5), st.lists(PATHS, min_size=1, max_size=6))
def test_same_verdict_as_an_independent_port_of_docker_s_matcher(lines: list[str], paths: list[str]) -> None:
    try:
        theirs = PatternMatcher(lines)
    except ValueError:
        with pytest.raises(RefusedError):
            IgnorePatterns([line.encode() for line in lines])
        return
    ours = IgnorePatterns([line.encode() for line in lines])
    for path in paths:
        assert ours.matches(path.encode()) == theirs.matches(path), path


@settings(max_examples=100, deadline=None)
@given(st.lists(PATTERNS, min_size=1, max_size=5), st.sets(PATHS, min_size=1, max_size=8))
def test_a_walk_that_prunes_finds_all_that_is_not_excluded(lines: list[str], paths: set[str]) -> None:
    try:
        patterns = IgnorePatterns([line.encode() for line in lines])
    except RefusedError:
        return
    with tempfile.TemporaryDirectory() as top:
        files = set()
        for path in sorted(paths):
            place = Path(top, "context", path)
            # One path may be a directory above another: then only the other is a file.
            if not any(other.startswith(path + "/") for other in paths):
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text("")
                files.add(path.encode())
        context = Rootfs(os.fsencode(Path(top, "context")))
        Path(top, "rootfs").mkdir()
        rootfs = Rootfs(os.fsencode(Path(top, "rootfs")))
        copied = copy(context, [b""], rootfs, b"/", ignore=patterns, owner=(os.getuid(), os.getgid()))
        taken = {path for path in copied.paths if not Path(top, "rootfs", os.fsdecode(path)).is_dir()}
        assert taken == {path for path in files if not patterns.matches(path)}
        above = {path[:end] for path in taken for end in range(len(path)) if path[end : end + 1] == b"/"}
        assert above <= set(copied.paths)


def test_an_exclamation_mark_alone_is_an_error() -> None:
    with pytest.raises(RefusedError, match=re.escape('cannot be a lone "!"')):
        IgnorePatterns([b"*", b"!"])


def test_an_open_class_is_an_error_that_names_the_line() -> None:
    with pytest.raises(RefusedError, match="syntax error") as failed:
        IgnorePatterns([b"*.[ch"])
    assert failed.value.path == b"*.[ch"


def test_bytes_that_are_no_text() -> None:
    patterns = IgnorePatterns([b"\xff*", b"!\xff\xfe"])
    assert patterns.matches(b"\xffa")
    assert not patterns.matches(b"\xff\xfe")


def test_there_are_no_comments() -> None:
    """Those of an ignore file are gone when its patterns come here; ``--exclude=#x`` has none."""
    assert IgnorePatterns([b"#a"]).matches(b"#a")
