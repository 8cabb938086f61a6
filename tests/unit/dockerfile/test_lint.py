"""L: the build checks that the text alone allows."""

import pytest

from fswatch_builder.dockerfile import parse
from fswatch_builder.dockerfile.lint import Check
from fswatch_builder.errors import DockerfileError
from tests.unit.dockerfile.reading import error, read, rules


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("FROM a AS Build\n", [("StageNameCasing", 1)]),
        ("FROM a as b\n", [("FromAsCasing", 1)]),
        ("from a AS b\n", [("FromAsCasing", 1)]),
        ("from a as b\n", []),
        ("FROM a\nRUN x \\\n\n\n y\n", [("NoEmptyContinuation", 3)]),
        ("FROM a\nrun x\nRUN y\n", [("ConsistentInstructionCasing", 2)]),
        ("from a\nrun x\nRUN y\n", [("ConsistentInstructionCasing", 3)]),
        ("FROM a\nRun x\n", [("ConsistentInstructionCasing", 2)]),
        ("FROM a\nrun x\n", [("ConsistentInstructionCasing", 2)]),  # a tie is for capitals
        ("FROM a AS b\nFROM c AS B\n", [("StageNameCasing", 2), ("DuplicateStageName", 2)]),
        ("FROM a AS scratch\n", [("ReservedStageName", 1)]),
        ("FROM a AS context\n", [("ReservedStageName", 1)]),
        ("FROM a\nMAINTAINER x\n", [("MaintainerDeprecated", 2)]),
        ('FROM a\nCMD ["x"]\nCMD ["y"]\nFROM b\nCMD ["z"]\n', [("MultipleInstructionsDisallowed", 2)]),
        ("FROM a\nHEALTHCHECK NONE\nHEALTHCHECK NONE\n", [("MultipleInstructionsDisallowed", 2)]),
        ("FROM a\nENV a b\nLABEL c d\n", [("LegacyKeyValueFormat", 2), ("LegacyKeyValueFormat", 3)]),
        ("FROM a\nARG MY_TOKEN x=1\nENV auth=1\n", [("SecretsUsedInArgOrEnv", 2), ("SecretsUsedInArgOrEnv", 3)]),
        ("FROM a\nENV PUBLIC_KEY=1 MONKEY=2 KEYBOARD=3\n", []),
        ("FROM --platform=$TARGETPLATFORM a\n", [("RedundantTargetPlatform", 1)]),
        ("FROM --platform=$BUILDPLATFORM a\n", []),
        ("FROM --platform=linux/amd64 a\n", [("FromPlatformFlagConstDisallowed", 1)]),
        ("FROM --platform=linux/amd64 a AS build-amd64\n", []),
        ("FROM --platform=linux/amd64 a AS on-linux\n", []),
        ("FROM a\nENV PASSWORD_FILE=1 TOKEN_VERSION=2 DB_CREDENTIAL=3\n", [("SecretsUsedInArgOrEnv", 2)]),
    ],
)
def test_rules(text: str, found: list[tuple[str, int]]) -> None:
    assert sorted(rules(text)) == sorted(found)


def test_a_warning_is_a_sentence_with_a_place() -> None:
    (warning,) = read("FROM a AS Build").warnings
    assert warning.message == "Stage name 'Build' should be lowercase"
    assert (warning.where.line, warning.where.column) == (1, 11)


def test_warnings_come_in_the_order_of_their_places() -> None:
    found = rules("FROM a AS B\nENV x y\nRUN z \\\n\n w\nCMD x\n")
    assert found == sorted(found, key=lambda one: one[1])


@pytest.mark.parametrize("skip", ["StageNameCasing", "StageNameCasing,X", "all"])
def test_a_directive_skips_rules(skip: str) -> None:
    assert rules(f"# check=skip={skip}\nFROM a AS B\n") == []


def test_a_comment_above_an_instruction_skips_for_it_alone() -> None:
    text = "FROM a\n\n# check=skip=LegacyKeyValueFormat\nENV a b\nENV c d\n"
    assert rules(text) == [("LegacyKeyValueFormat", 5)]


def test_a_comment_further_above_skips_nothing() -> None:
    assert rules("FROM a\n# check=skip=all\n\nENV a b\n") == [("LegacyKeyValueFormat", 4)]


def test_error_true_is_kept_for_the_build_that_ends_by_it() -> None:
    assert read("# check=error=true\nFROM a AS B\n").checks.fail
    assert not read("FROM a AS B\n").checks.fail


def test_a_build_argument_goes_before_the_directive() -> None:
    text = b"# check=skip=all;error=true\nFROM a AS B\n"
    file = parse(text, "Dockerfile", Check.parse("skip=FromAsCasing"))
    assert [warning.rule for warning in file.warnings] == ["StageNameCasing"]
    assert not file.checks.fail


def test_an_experimental_rule_has_to_be_asked_for() -> None:
    text = "# builds it\nARG a\n\n# b is the target\nFROM x AS b\n# wrong\nARG c=1 d\n# check=skip=none\nARG e\n"
    assert rules(text) == []
    for asked in ("InvalidDefinitionDescription", "all"):
        found = read(f"# check=experimental={asked}\n{text}").warnings
        assert [(one.rule, one.where.line) for one in found] == [
            ("InvalidDefinitionDescription", 3),
            ("InvalidDefinitionDescription", 8),
        ]
        assert found[0].message == "Comment for ARG should follow the format: `# a <description>`"
        assert found[1].message == "Comment for ARG should follow the format: `# <arg_key> <description>`"


def test_an_unknown_option_is_an_error() -> None:
    assert error("# check=ignore=x\nFROM a\n").what == "check: cannot use 'ignore=x'"
    with pytest.raises(DockerfileError):
        Check.parse("error=maybe")


def test_options() -> None:
    assert Check.parse(" skip = A , B ; error=TRUE; experimental=C") == Check(
        frozenset({"A", "B"}), error=True, experimental=frozenset({"C"})
    )
