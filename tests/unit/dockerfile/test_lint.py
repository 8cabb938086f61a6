"""L: the build checks that the text alone allows."""

import pytest

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
        ("FROM a\nCMD x\n", [("JSONArgsRecommended", 2)]),
        ('FROM a\nENTRYPOINT x\nCMD ["y"]\n', [("JSONArgsRecommended", 2)]),
        ('FROM a\nSHELL ["s"]\nCMD x\n', []),
        ('FROM a AS b\nSHELL ["s"]\nFROM b\nCMD x\n', []),
        ('FROM a AS b\nSHELL ["s"]\nFROM a\nCMD x\n', [("JSONArgsRecommended", 4)]),
        ("FROM a\nMAINTAINER x\n", [("MaintainerDeprecated", 2)]),
        ('FROM a\nCMD ["x"]\nCMD ["y"]\nFROM b\nCMD ["z"]\n', [("MultipleInstructionsDisallowed", 2)]),
        ("FROM a\nHEALTHCHECK NONE\nHEALTHCHECK NONE\n", [("MultipleInstructionsDisallowed", 2)]),
        ("FROM a\nENV a b\nLABEL c d\n", [("LegacyKeyValueFormat", 2), ("LegacyKeyValueFormat", 3)]),
        ("FROM a\nARG MY_TOKEN x=1\nENV auth=1\n", [("SecretsUsedInArgOrEnv", 2), ("SecretsUsedInArgOrEnv", 3)]),
        ("FROM a\nENV PUBLIC_KEY=1 MONKEY=2 KEYBOARD=3\n", []),
        ("FROM --platform=$TARGETPLATFORM a\n", [("RedundantTargetPlatform", 1)]),
        ("FROM --platform=$BUILDPLATFORM a\n", []),
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


def test_error_true_makes_findings_an_error() -> None:
    found = error("# check=error=true\nFROM a AS B\nENV a b\n")
    assert found.what == "lint violation found for rules: LegacyKeyValueFormat, StageNameCasing"
    assert len(found.warnings) == 2


def test_error_true_without_findings_is_fine() -> None:
    assert read("# check=skip=StageNameCasing;error=true\nFROM a AS B\n").warnings == ()


def test_an_unknown_option_is_an_error() -> None:
    assert error("# check=ignore=x\nFROM a\n").what == "check: cannot use 'ignore=x'"
    with pytest.raises(DockerfileError):
        Check.parse("error=maybe")


def test_options() -> None:
    assert Check.parse(" skip = A , B ; error=TRUE; experimental=C") == Check(
        frozenset({"A", "B"}), error=True, experimental=frozenset({"C"})
    )
