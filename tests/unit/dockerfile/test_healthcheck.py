"""I11: HEALTHCHECK, its forms and its durations."""

import pytest

from fswatch_builder.dockerfile.healthcheck import duration_ns
from fswatch_builder.errors import Location
from fswatch_builder.model.instruction import Healthcheck
from tests.unit.dockerfile.reading import error, one

S = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("0", 0),
        ("+0", 0),
        ("5s", 5 * S),
        ("1h2m3s", 3723 * S),
        ("1m30s", 90 * S),
        ("1.5s", S * 3 // 2),
        (".5s", S // 2),
        ("5.s", 5 * S),
        ("100ms", S // 10),
        ("2us", 2_000),
        ("2µs", 2_000),
        ("2μs", 2_000),
        ("7ns", 7),
        ("-1s", -S),
        ("0s", 0),
        ("1s1s", 2 * S),
    ],
)
def test_a_duration_is_written_as_in_go(text: str, want: int) -> None:
    assert duration_ns(text) == want


@pytest.mark.parametrize(
    "text", ["", "5", "s", ".s", "5 s", "5S", "1d", "--1s", "1s-1s", "+", "9999999999h", "1e3s", "٣s"]
)
def test_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="invalid duration"):
        duration_ns(text)


def test_forms() -> None:
    none = one(Healthcheck, "HEALTHCHECK NONE")
    assert (none.form, none.argv) == (None, ())
    shell = one(Healthcheck, "HEALTHCHECK  cmd   curl -f  http://x/ || exit 1 ")
    assert (shell.form, shell.argv) == ("shell", ("curl -f  http://x/ || exit 1",))
    execute = one(Healthcheck, 'HEALTHCHECK CMD ["curl", "$X"]')
    assert (execute.form, execute.argv) == ("exec", ("curl", "$X"))
    assert one(Healthcheck, "HEALTHCHECK CMD ['a']").form == "shell"


def test_options() -> None:
    flags = "--interval=1m --timeout=3s --start-period=5s --start-interval=1ms --retries=4"
    found = one(Healthcheck, f"HEALTHCHECK {flags} \\\n  CMD x")
    assert (found.interval_ns, found.timeout_ns) == (60 * S, 3 * S)
    assert (found.start_period_ns, found.start_interval_ns, found.retries) == (5 * S, 1_000_000, 4)


def test_zero_and_nothing_take_the_default() -> None:
    found = one(Healthcheck, "HEALTHCHECK --interval=0 --timeout=0s --retries=0 CMD x")
    assert (found.interval_ns, found.timeout_ns, found.retries) == (0, 0, 0)


@pytest.mark.parametrize(
    ("line", "what", "column"),
    [
        ("HEALTHCHECK", "HEALTHCHECK requires at least one argument", 1),
        ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments", 18),
        ("HEALTHCHECK CMD", "missing command after HEALTHCHECK CMD", 13),
        ("HEALTHCHECK CMD []", "missing command after HEALTHCHECK CMD", 13),
        ("HEALTHCHECK curl x", 'unknown type "CURL" in HEALTHCHECK (try CMD)', 13),
        ("HEALTHCHECK --interval=5 CMD x", 'HEALTHCHECK --interval: invalid duration "5"', 24),
        ("HEALTHCHECK --interval=1us CMD x", "HEALTHCHECK --interval=1us cannot be less than 1ms", 24),
        ("HEALTHCHECK --timeout=-5s CMD x", "HEALTHCHECK --timeout=-5s cannot be less than 1ms", 23),
        ("HEALTHCHECK --retries=-1 CMD x", "HEALTHCHECK --retries cannot be negative (-1)", 23),
        ("HEALTHCHECK --retries=x CMD x", "HEALTHCHECK --retries=x is not a number of retries", 23),
        ("HEALTHCHECK --retries=3000000000 CMD x", "HEALTHCHECK --retries=3000000000 is not a number of retries", 23),
        (
            f"HEALTHCHECK --retries={'9' * 5000} CMD x",
            f"HEALTHCHECK --retries={'9' * 5000} is not a number of retries",
            23,
        ),
    ],
)
def test_what_is_wrong_is_told_where_it_stands(line: str, what: str, column: int) -> None:
    found = error(f"FROM a\n{line}\n")
    assert found.what == what
    assert found.where is not None
    assert (found.where.line, found.where.column) == (2, column)


def test_an_unknown_option_suggests_the_nearest() -> None:
    found = error("FROM a\nHEALTHCHECK --intervall=5s CMD x\n")
    assert found.what == "HEALTHCHECK: unknown flag: --intervall"
    assert found.hint == "did you mean --interval?"
    assert found.where == Location("Dockerfile", 2, 13)
