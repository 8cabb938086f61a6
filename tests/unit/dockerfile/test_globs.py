"""The patterns of ``${name#pattern}`` and its like, against a backtracking engine where that one can cope."""

import re
from itertools import islice, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fswatch_builder.dockerfile.globs import Glob

PATTERNS = st.text("ab*?\n", max_size=6)
TEXTS = st.text("ab\n", max_size=10)


def regex(pattern: str) -> str:
    return "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern)


@given(PATTERNS, TEXTS)
def test_prefixes_and_suffixes(pattern: str, text: str) -> None:
    glob = Glob.parse(pattern)
    ends = [end for end in range(len(text) + 1) if re.fullmatch(regex(pattern), text[:end])]
    starts = [start for start in range(len(text) + 1) if re.fullmatch(regex(pattern), text[start:])]
    assert glob.without_prefix(text, longest=False) == text[min(ends, default=0) :]
    assert glob.without_prefix(text, longest=True) == text[max(ends, default=0) :]
    assert glob.without_suffix(text, longest=False) == text[: max(starts, default=len(text))]
    assert glob.without_suffix(text, longest=True) == text[: min(starts, default=len(text))]


def replaced(pattern: str, text: str, by: str, everywhere: bool) -> str:
    out, rest = "", 0
    for start, end in islice(Glob.parse(pattern).matches(text), None if everywhere else 1):
        out, rest = out + text[rest:start] + by, end
    return out + text[rest:]


def replaced_slowly(pattern: str, text: str, everywhere: bool) -> str:
    """By trying all substrings."""
    out, at, last_end = "", 0, -1
    while at <= len(text):
        ends = [end for end in range(at, len(text) + 1) if re.fullmatch(regex(pattern), text[at:end])]
        if ends and not max(ends) == at == last_end:
            out, last_end = out + "X", max(ends)
            if not everywhere:
                return out + text[last_end:]
        if not ends or max(ends) == at:
            out += text[at : at + 1]
            at += 1
        else:
            at = last_end
    return out


@given(PATTERNS, TEXTS, st.booleans())
def test_replacement(pattern: str, text: str, everywhere: bool) -> None:
    assert replaced(pattern, text, "X", everywhere) == replaced_slowly(pattern, text, everywhere)


@pytest.mark.parametrize("pattern", ["\\", "\\a", "a\\["])
def test_only_special_characters_can_be_escaped(pattern: str) -> None:
    with pytest.raises(ValueError, match="invalid escape"):
        Glob.parse(pattern)


def test_escaped_characters_are_plain() -> None:
    for char in "*?\\/}":
        assert replaced(f"\\{char}", f"a{char}b", "-", everywhere=False) == "a-b"


def test_many_stars_do_not_explode() -> None:
    """A backtracking engine needs longer than the world has for this one."""
    glob = Glob.parse("*a" * 30 + "b")
    assert glob.without_prefix("a" * 300, longest=True) == "a" * 300
    assert list(glob.matches("a" * 300)) == []


def test_all_short_patterns_find_the_leftmost_longest() -> None:
    for letters in product("ab*?", repeat=3):
        pattern = "".join(letters)
        for text in map("".join, product("ab", repeat=5)):
            found = re.search(regex(pattern), text)
            expected = text if found is None else text[: found.start()] + "-" + text[found.end() :]
            assert replaced(pattern, text, "-", everywhere=False) == expected
