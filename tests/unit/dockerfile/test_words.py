"""The JSON form, and the splitting of arguments."""

import pytest

from fswatch_builder.dockerfile.lines import LineReader, LogicalLine
from fswatch_builder.dockerfile.words import json_words, plain_words, quoted_spans
from fswatch_builder.errors import DockerfileError, Location


def logical(text: str) -> LogicalLine:
    (line,) = LineReader(text.encode("utf-8", "surrogateescape"), "D")
    return line


def as_json(text: str) -> list[str] | None:
    line = logical(text)
    words = json_words(line, 0, len(line.text))
    return None if words is None else [word.text for word in words]


@pytest.mark.parametrize(
    ("text", "strings"),
    [
        ("[]", []),
        ("[ ]", []),
        ('["a"]', ["a"]),
        ('[ "a" ,\t"b c" ] ', ["a", "b c"]),
        (r'["\"\\\/\b\f\n\r\t\u00e4\ud83d\ude00"]', ['"\\/\b\f\n\r\tä😀']),
        (r'["\ud800x"]', ["\ufffdx"]),  # half a pair is no character
        (r'["\udcff"]', ["\ufffd"]),  # and never passes for a byte
        ('["\udcff\\u00e4"]', ["\udcffä"]),  # the byte itself stays
        ('["a"] x', None),  # text after it
        ('["a",]', None),
        ("['a']", None),  # single quotes
        ('["a" "b"]', None),
        ('["a"', None),
        (r'["\x"]', None),
        ('["a\tb"]', None),  # a control character
        ("[NaN]", None),
        ('{"a": 1}', None),
        ("x", None),
        ("[" * 5000, None),
    ],
)
def test_json_form_is_a_valid_array_of_strings_and_nothing_else(text: str, strings: list[str] | None) -> None:
    assert as_json(text) == strings


@pytest.mark.parametrize("text", ["[1]", '["a", null]', "[[]]", '["a", {"b": "c"}]', "[true]"])
def test_a_valid_array_of_other_things_is_an_error(text: str) -> None:
    with pytest.raises(DockerfileError, match="comprised of strings only"):
        as_json(text)


def test_json_words_know_their_places() -> None:
    line = logical('["a", \\\n  "b"]')
    words = json_words(line, 0, len(line.text))
    assert words is not None
    assert [word.where for word in words] == [Location("D", 1, 2), Location("D", 2, 3)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a  b\tc", ["a", "b", "c"]),
        ('a="b c" d', ['a="b c"', "d"]),
        ("a='b c' d", ["a='b c'", "d"]),
        ("a=b\\ c d", ["a=b\\ c", "d"]),
        ('"a\\"b c" d', ['"a\\"b c"', "d"]),
        ("'a\\' b", ["'a\\'", "b"]),  # nothing escapes within single quotes
        ('\\"a b', ['\\"a', "b"]),
        ('"" b', ['""', "b"]),
        ('"open b', ['"open b']),
        ("a\u00a0b", ["a", "b"]),
        ("", []),
    ],
)
def test_words_outside_quotes(text: str, words: list[str]) -> None:
    assert [text[start:end] for start, end in quoted_spans(text, 0, len(text), "\\")] == words


def test_a_last_lone_escape_is_dropped() -> None:
    assert quoted_spans("ab `", 0, 4, "`") == [(0, 2)]


def test_plain_words_keep_quotes() -> None:
    line = logical('"a b" c\u00a0d')
    assert [word.text for word in plain_words(line, 0, len(line.text))] == ['"a', 'b"', "c\u00a0d"]
