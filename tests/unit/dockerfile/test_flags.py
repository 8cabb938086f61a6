"""Flags of instructions."""

import pytest

from fswatch_builder.errors import Location
from fswatch_builder.model.instruction import Copy, From, Run
from tests.unit.dockerfile.reading import error, one, read


def test_flags_are_kept_with_their_values() -> None:
    run = one(Run, "RUN --mount=type=cache,target=/x --mount=type=tmpfs,target=/y --network=none make")
    assert [word.text for word in run.mounts] == ["type=cache,target=/x", "type=tmpfs,target=/y"]
    assert run.network is not None
    assert run.network.text == "none"
    assert run.flags == {}
    assert run.argv == ("make",)


def test_two_dashes_end_the_flags() -> None:
    copy = one(Copy, "COPY --link -- --from=x /y")
    assert copy.stage is None
    assert [str(source) for source in copy.sources] == ["--from=x"]
    assert copy.link


@pytest.mark.parametrize(
    ("line", "value"), [("--link", True), ("--link=true", True), ("--link=FALSE", False), ("--link=True", True)]
)
def test_booleans(line: str, value: bool) -> None:
    assert one(Copy, f"COPY {line} a b").link is value


@pytest.mark.parametrize(
    ("line", "what", "hint"),
    [
        ("COPY --chwon=x a b", "COPY: unknown flag: --chwon", "did you mean --chown?"),
        ("RUN --from=x a", "RUN: unknown flag: --from", None),
        ("COPY --checksum=x a b", "COPY: unknown flag: --checksum", None),
        ("COPY --unpack a b", "COPY: unknown flag: --unpack", None),
        ("COPY --keep-git-dir a b", "COPY: unknown flag: --keep-git-dir", None),
        ("ADD --from=x a b", "ADD: unknown flag: --from", None),
        ("ADD --parents a b", "ADD: unknown flag: --parents", None),
        ("ENV --x=y a=b", "ENV: unknown flag: --x", None),
        ("COPY --chown=a --chown=b x y", "COPY: duplicate flag specified: --chown", None),
        ("COPY --link --link x y", "COPY: duplicate flag specified: --link", None),
        ("COPY --chown a b", "COPY: missing a value on flag: --chown", None),
        ("COPY --link= a b", "COPY: missing a value on flag: --link", None),
        ("COPY --link=1 a b", "COPY: expecting boolean value for flag --link, not: 1", None),
        ("RUN --mount a", "RUN: missing a value on flag: --mount", None),
    ],
)
def test_errors_name_the_flag(line: str, what: str, hint: str | None) -> None:
    found = error(f"FROM a\n{line}\n")
    assert (found.what, found.hint) == (what, hint)


def test_an_error_stands_at_its_flag() -> None:
    assert error("FROM a\nCOPY --link \\\n  --nope a b\n").where == Location("Dockerfile", 3, 3)


def test_flags_that_repeat() -> None:
    assert one(Copy, "COPY --exclude=a --exclude=b x y").exclude == ("a", "b")
    assert one(Run, "RUN --device=a --device=b x").flags == {"device": ("a", "b")}


def test_quotes_and_escapes_in_a_flag() -> None:
    copy = one(Copy, 'COPY --chown="a b" --chmod=\'7\'5\\5 --exclude="x\\"y" a b')
    assert (str(copy.chown), str(copy.chmod), copy.exclude) == ("a b", "755", ('x"y',))


def test_a_flags_value_knows_its_column() -> None:
    stage = read("FROM --platform=linux/arm64 a\n").instructions[0]
    assert isinstance(stage, From)
    assert stage.platform is not None
    assert stage.platform.where == Location("Dockerfile", 1, 17)


def test_a_flag_may_be_continued() -> None:
    copy = one(Copy, "COPY --ch\\\nown=a:b x y")
    assert str(copy.chown) == "a:b"
