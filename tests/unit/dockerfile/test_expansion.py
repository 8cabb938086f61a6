"""Variables, quotes, escapes."""

import pytest

from fswatch_builder.dockerfile.expansion import (
    MAX_DEPTH,
    MAX_LENGTH,
    Rules,
    expand,
    expand_body,
    expansion,
)
from fswatch_builder.errors import DockerfileError

ENV = {"a": "A", "empty": "", "path": "/usr/lib/x.tar.gz", "b_1": "B", "two": "80 443/udp", "ä": "Ä"}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("'$a'", "$a"),
        ('"$a"', "A"),
        (r'"\$a \" \\ \x"', r"$a " + '" \\ \\x'),
        (r"\$a \x \\ \"", '$a x \\ "'),
        (r"'a\'", "a\\"),
        (r"""'"$a"'"'$a'" """, "\"$a\"'A' "),
        ("ab\\", "ab"),  # a trailing escape vanishes
        ('""', ""),
        ("a'b'\"c\"d", "abcd"),
        ("  a  b ", "  a  b "),
        ("~ * {x} `y`", "~ * {x} `y`"),
    ],
)
def test_quotes(text: str, result: str) -> None:
    assert expand(text, ENV) == result


@pytest.mark.parametrize("text", ["'a", '"a', "a'b'c'", '"${a:-"', '"a\\'])
def test_unbalanced_quotes_are_an_error(text: str) -> None:
    with pytest.raises(DockerfileError, match="failed to process"):
        expand(text, ENV)


def test_the_escape_directive_counts() -> None:
    assert expand('`$a \\$a "`$a\\"', ENV, "`") == "$a \\A $a\\"


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("$a-$b_1.$a", "A-B.A"),
        ("${a}x", "Ax"),
        ("$ab", ""),
        ("$1a", "a"),
        ("$12a$0", "a"),
        ("$ä", "Ä"),
        ("$@x$*x$#x$?x$-x$!x$$x", "xxxxxxx"),
        ("$", "$"),
        ("$.", "$."),
        ("$ a", "$ a"),
        ("a$", "a$"),
        ("$(a)", "$(a)"),
        ("%a%", "%a%"),
    ],
)
def test_names(text: str, result: str) -> None:
    assert expand(text, ENV) == result


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${}", "bad substitution"),
        ("${:x}", "bad substitution"),
        ("${{a}}", "bad substitution"),
        ("${", "missing '}'"),
        ("${a", "missing '}'"),
        ("${a:", "missing '}'"),
        ("${a:-x", "missing '}'"),
        ("${a/x", "missing '/'"),
        ("${a/x/y", "missing '}'"),
        ("${a=x}", r"unsupported modifier \(=\)"),
        ("${a:=x}", r"unsupported modifier \(:=\)"),
        ("${a:#x}", r"unsupported modifier \(:#\)"),
        ("${a:%x}", r"unsupported modifier \(:%\)"),
        ("${a:0:1}", r"unsupported modifier \(:0\)"),
        ("${a^^}", r"unsupported modifier \(\^\)"),
        ("${a b}", r"unsupported modifier \( \)"),
        ("${.a}", r"unsupported modifier \(\.\)"),
        (r"${a#\x}", r"invalid pattern \(\\x\)"),
        (r"${nope/\x/y}", r"invalid pattern \(\\x\)"),
    ],
)
def test_bad_substitutions(text: str, message: str) -> None:
    with pytest.raises(DockerfileError, match=message):
        expand(text, ENV)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("${a-x}|${empty-x}|${no-x}", "A||x"),
        ("${a:-x}|${empty:-x}|${no:-x}", "A|x|x"),
        ("${a+x}|${empty+x}|${no+x}", "x|x|"),
        ("${a:+x}|${empty:+x}|${no:+x}", "x||"),
        ("${a?x}|${empty?x}|${a:?x}", "A||A"),
        ("${no:-}", ""),
        ("${no:-${no:-$a}}", "A"),
        ("${no:-a b}", "a b"),
        ("${no:-'}'}", "}"),
        (r"${no:-\}}", "}"),
        ('${no:-"$a}"}', "A}"),
        ('"${no:-x y}"', "x y"),
        ("${@-x}", "x"),
        ("${1:-x}", "x"),
    ],
)
def test_defaults_and_alternatives(text: str, result: str) -> None:
    assert expand(text, ENV) == result


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${no?}", "no: is not allowed to be unset"),
        ("${no:?}", "no: is not allowed to be unset"),
        ("${empty:?}", "empty: is not allowed to be empty"),
        ("${no?give $a}", "no: give A"),
        ("${empty:?give it}", "empty: give it"),
    ],
)
def test_the_word_of_a_question_mark_is_the_message(text: str, message: str) -> None:
    with pytest.raises(DockerfileError, match=message):
        expand(text, ENV)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("${path#*/}", "usr/lib/x.tar.gz"),
        ("${path##*/}", "x.tar.gz"),
        ("${path%.*}", "/usr/lib/x.tar"),
        ("${path%%.*}", "/usr/lib/x"),
        ("${path#/usr}", "/lib/x.tar.gz"),
        ("${path#usr}", "/usr/lib/x.tar.gz"),  # only from the start
        ("${path%gz}", "/usr/lib/x.tar."),
        ("${path#????}", "/lib/x.tar.gz"),
        ("${path#}", "/usr/lib/x.tar.gz"),
        ("${path##}", "/usr/lib/x.tar.gz"),
        ("${path#*}", "/usr/lib/x.tar.gz"),
        ("${path##*}", ""),
        ("${path%%*}", ""),
        (r"${path#\*}", "/usr/lib/x.tar.gz"),
        ("${path%[xg]z}", "/usr/lib/x.tar.gz"),  # no brackets
        ("${path%$no}", "/usr/lib/x.tar.gz"),
        ("${no#x}|${empty##*}", "|"),
    ],
)
def test_prefixes_and_suffixes(text: str, result: str) -> None:
    assert expand(text, ENV) == result


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("${path/r/R}", "/usR/lib/x.tar.gz"),
        ("${path//r/R}", "/usR/lib/x.taR.gz"),
        (r"${path//\//-}", "-usr-lib-x.tar.gz"),
        ("${path/u*b/_}", "/_/x.tar.gz"),  # the longest match
        ("${path/./}", "/usr/lib/xtar.gz"),
        ("${path//?/x}", "x" * 17),
        ("${path/$a/y}", "/usr/lib/x.tar.gz"),
        ("${path/usr/$a}", "/A/lib/x.tar.gz"),
        ("${two// /,}", "80,443/udp"),
        (r"${brace/\}/x}", "axb"),
        (r"${star/\*/x}", "axb"),
        ("${a//x/$1}", "A"),
        ("${a/A/\\\\1&}", "\\\\1&"),  # the replacement is plain text
        ("${a//}", None),
    ],
)
def test_replacement(text: str, result: str | None) -> None:
    environment = {**ENV, "brace": "a}b", "star": "a*b"}
    if result is None:
        with pytest.raises(DockerfileError):
            expand(text, environment)
    else:
        assert expand(text, environment) == result


def test_undefined_is_empty_and_told() -> None:
    found = expansion("$a/$no/${nope}/$no/${fine:-x}/${fine+y}/${cut#x}", ENV, Rules())
    assert found.text == "A///" + "/x//"
    assert found.undefined == ("no", "nope", "cut")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("$two", ("80", "443/udp")),
        ('"$two"', ("80 443/udp",)),
        ("$no", ()),
        ("x$two", ("x80", "443/udp")),
        ("a\\ b c", ("a b", "c")),
        ("'' a", ("a",)),
    ],
)
def test_splitting_after_expansion(text: str, words: tuple[str, ...]) -> None:
    assert expansion(text, ENV, Rules()).words == words


def test_only_that_variant_splits() -> None:
    assert expand("$two", ENV) == "80 443/udp"


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ("x=$a\n", "x=A\n"),
        ("\"$a\" '$a' it's\n", "\"A\" 'A' it's\n"),
        (r"\$a \\ \n", r"$a \ n"),
        ("${no:-'x'}\n", "'x'\n"),
        ("$(date) $\n", "$(date) $\n"),
    ],
)
def test_heredoc_bodies(body: str, result: str) -> None:
    assert expand_body(body, ENV) == result


def test_deep_nesting_is_refused_not_a_crash() -> None:
    deep = "${x:-" * (MAX_DEPTH + 1) + "}" * (MAX_DEPTH + 1)
    with pytest.raises(DockerfileError, match="within each other"):
        expand(deep, {})
    assert expand("${x:-" * MAX_DEPTH + "y" + "}" * MAX_DEPTH, {}) == "y"


def test_side_by_side_is_not_nesting() -> None:
    assert expand("${a}" * 1000, ENV) == "A" * 1000


def test_a_value_that_doubles_each_line_is_stopped() -> None:
    """``ENV a=$a$a``, forty times, would need a tebibyte."""
    half = "x" * (MAX_LENGTH // 2)
    assert len(expand("$a$a", {"a": half})) == MAX_LENGTH
    with pytest.raises(DockerfileError, match="grows beyond"):
        expand("$a$a", {"a": half + "x"})


def test_a_replacement_that_multiplies_is_stopped_before_memory_is_gone() -> None:
    with pytest.raises(DockerfileError, match="grows beyond"):
        expand("${a//?/$b}", {"a": "x" * 50_000, "b": "y" * 50_000})


def test_a_long_text_in_a_message_is_cut() -> None:
    with pytest.raises(DockerfileError) as caught:
        expand("x" * 10_000 + "'", {})
    assert len(caught.value.what) < 400
