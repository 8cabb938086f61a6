"""Generated words, expanded by two lexers; and hostile input never gives anything but the one error."""

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from fswatch_builder.dockerfile import ParseError, parse
from fswatch_builder.dockerfile.expansion import Rules, expand, expand_body, expansion
from fswatch_builder.errors import DockerfileError, Location

ENVIRONMENT = {"a": "A b", "empty": "", "p": "/x/y.z", "q": "it's"}
PIECES = st.sampled_from(
    [
        *("a", " ", "/", ".", "*", "?", "$", "{", "}", ":", "-", "+", "#", "%", "'", '"', "\\", "`", "é", "1", "_"),
        *(
            "$a",
            "${a}",
            "${no}",
            "${no:-",
            "${a:+",
            "${p#",
            "${p##*/}",
            "${p%",
            "${p/",
            "${empty-",
            "${empty:-x}",
            "$$",
        ),
    ]
)
TEXTS = st.lists(PIECES, max_size=12).map("".join)
LIMITS = settings(max_examples=400, deadline=None)


def other(text: str, rules: Rules) -> tuple[str, list[str]] | None:
    from e2b_dockerfile_utils import ShellLex

    def lexer() -> ShellLex:
        return ShellLex(
            rules.escape,
            raw_quotes=rules.keep_quotes,
            skip_process_quotes=not rules.quotes,
            env=ENVIRONMENT,
            skip_unset_env=rules.keep_unset,
        )

    try:
        # The port lets a lone '' be a word; BuildKit's lexer drops every empty one.
        return lexer().process_word(text), [word for word in lexer().process_words(text) if word]
    except ValueError:
        return None


def ours(text: str, rules: Rules) -> tuple[str, list[str]] | None:
    try:
        found = expansion(text, ENVIRONMENT, rules)
    except DockerfileError:
        return None
    return found.text, list(found.words)


RULES = st.builds(
    Rules,
    escape=st.sampled_from(["\\", "`"]),
    quotes=st.booleans(),
    keep_quotes=st.booleans(),
    keep_unset=st.booleans(),
)


@LIMITS
@given(TEXTS, RULES)
def test_words_are_expanded_as_by_the_port(text: str, rules: Rules) -> None:
    assert ours(text, rules) == other(text, rules)


@LIMITS
@given(st.binary(max_size=200))
def test_any_bytes_are_a_dockerfile_or_an_error_with_a_place(content: bytes) -> None:
    places: list[Location | None] = []
    try:
        places += [one.where for one in parse(content, "D").instructions]
    except ParseError as error:
        places.append(error.where)
    assert all(place is not None and place.line >= 1 for place in places)


@LIMITS
@given(TEXTS)
def test_any_text_is_expanded_or_refused(text: str) -> None:
    """Nothing but the error that the caller completes with a place."""
    for one in (expand, expand_body):
        with suppress(DockerfileError):
            one(text, ENVIRONMENT)


@LIMITS
@given(st.text(alphabet=st.characters(exclude_characters="$\\`'\""), max_size=30))
def test_text_without_special_characters_stays_as_it_is(text: str) -> None:
    assert expand(text, ENVIRONMENT) == text


@LIMITS
@given(st.text(max_size=20), TEXTS.filter(lambda text: "'" not in text))
def test_what_single_quotes_hold_is_kept(value: str, text: str) -> None:
    """Also what a variable holds is never expanded again."""
    assert expand(f"'{text}'", {}) == text
    assert expand("$v", {"v": value}) == value
