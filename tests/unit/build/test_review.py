"""L: what is told before the first step, with the variables and images it takes."""

from collections.abc import Mapping, Sequence

import pytest

from fswatch_builder.build.preparation import Prepared
from fswatch_builder.build.review import review, violation
from fswatch_builder.errors import DockerfileError, Location
from fswatch_builder.model.image import Image, RunConfig
from fswatch_builder.model.instruction import Warning  # noqa: A004 - the language's own word
from fswatch_builder.model.platform import Platform
from tests.unit.build.planning import AMD64, planned


def reviewed(
    text: str, *, images: Mapping[int, Image] | None = None, ignored: Sequence[bytes] = (), **args: str
) -> list[Warning]:
    plan = planned(text, args=args)
    return [*plan.warnings, *review(Prepared(plan, images or {}), ignored)]


def found(text: str, **how: object) -> list[tuple[str, int, str]]:
    return [(one.rule, one.where.line, one.message) for one in reviewed(text, **how)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "rule", "line", "message"),
    [
        ("FROM scratch\nCMD x\n", "JSONArgsRecommended", 2, "JSON arguments recommended for CMD to prevent"),
        ("FROM scratch\nENTRYPOINT x\n", "JSONArgsRecommended", 2, "JSON arguments recommended for ENTRYPOINT"),
        ("FROM scratch\nWORKDIR a\n", "WorkdirRelativePath", 2, 'Relative workdir "a" can have unexpected results'),
        ("ARG A=\nFROM scratch\nARG A\nWORKDIR ${A}b\n", "WorkdirRelativePath", 4, 'Relative workdir "b"'),
        ("FROM a$NOPE\n", "UndefinedArgInFrom", 1, "FROM argument 'NOPE' is not declared"),
        ("ARG VERSION=1\nFROM a$VERSON\n", "UndefinedArgInFrom", 2, "(did you mean VERSION?)"),
        ("FROM --platform=linux/amd64$P a AS linux\n", "UndefinedArgInFrom", 1, "FROM argument 'P' is not declared"),
        ("ARG TAG\nFROM a:$TAG\n", "InvalidDefaultArgInFrom", 2, "Default value for ARG a:$TAG results in empty or"),
        ("FROM scratch\nENV a=$b\n", "UndefinedVar", 2, "Usage of undefined variable '$b'"),
        ("FROM scratch\nEXPOSE 80/TCP\n", "ExposeProtoCasing", 2, "Defined protocol '80/TCP' in EXPOSE instruction"),
        ("FROM scratch\nEXPOSE 1:2\n", "ExposeInvalidFormat", 2, "should not define an IP address or host-port"),
    ],
)
def test_each_rule_once(text: str, rule: str, line: int, message: str) -> None:
    hits = [one for one in found(text, TAG="1") if one[0] == rule]
    assert [one[1] for one in hits] == [line]
    assert message in hits[0][2]


@pytest.mark.parametrize(
    "text",
    [
        'FROM scratch\nSHELL ["s"]\nCMD x\n',
        'FROM scratch AS b\nSHELL ["s"]\nFROM b\nCMD x\n',
        'FROM scratch\nCMD ["x"]\nENTRYPOINT []\n',
        "FROM scratch\nWORKDIR /a\nWORKDIR b\n",
        "FROM scratch AS a\nWORKDIR /a\nFROM a\nWORKDIR b\n",
        "ARG V=1\nFROM a:$V\n",
        "ARG V\nFROM a:${V:-1}\n",
        "FROM scratch\nARG A\nENV b=$A\n",
        "FROM scratch AS a\nARG A\nFROM a\nENV b=$A\n",
        "FROM --platform=$BUILDPLATFORM a\n",
        "FROM base\nENV x=$OF_THE_BASE\n",
        "FROM base AS b\nFROM b\nENV x=$OF_THE_BASE\n",
    ],
)
def test_nothing_to_say(text: str) -> None:
    assert found(text) == []


def test_only_the_first_relative_workdir_is_told() -> None:
    assert [one[:2] for one in found("FROM scratch\nWORKDIR a\nWORKDIR b\n")] == [("WorkdirRelativePath", 2)]


def test_the_shell_and_the_variables_of_a_known_base_count() -> None:
    image = Image(AMD64, RunConfig(shell=("sh",), env=("A=1",)))
    text = "FROM base\nCMD x\nENV b=$A c=$D\n"
    assert [one[0] for one in found(text, images={0: image})] == ["UndefinedVar"]


def test_a_base_for_another_platform_is_told() -> None:
    image = Image(Platform("linux", "arm64"))
    assert found("FROM base\n", images={0: image}) == [
        (
            "InvalidBaseImagePlatform",
            1,
            'Base image base was pulled with platform "linux/arm64", expected "linux/amd64" for current build',
        )
    ]


def test_a_copy_of_what_the_ignore_file_hides() -> None:
    text = "FROM scratch\nCOPY a ./b/c x* /d/\nADD /a /d\nCOPY --from=0 a /\n"
    text = "FROM scratch AS s\n" + text.replace("--from=0", "--from=s")
    hits = found(text, ignored=[b"a", b"b"])
    assert hits == [
        ("CopyIgnoredFile", 3, 'Attempting to Copy file "a" that is excluded by .dockerignore'),
        ("CopyIgnoredFile", 3, 'Attempting to Copy file "b/c" that is excluded by .dockerignore'),
        ("CopyIgnoredFile", 4, 'Attempting to Add file "a" that is excluded by .dockerignore'),
    ]
    assert found(text, ignored=[b"a", b"!a/b"]) == []
    assert found("FROM scratch\nCOPY . ../.. /d/\n", ignored=[b"a"]) == []
    assert len(found("FROM scratch\nCOPY . ../.. /d/\n", ignored=[b"**"])) == 2


def test_a_comment_above_mutes_also_what_stands_on_a_continuation() -> None:
    text = "FROM scratch\n# check=skip=ExposeProtoCasing\nEXPOSE 1 \\\n  2/TCP\nEXPOSE 3/TCP\n"
    assert [one[:2] for one in found(text)] == [("ExposeProtoCasing", 5)]


def test_a_wrong_last_line_is_found_before_the_first_is_done() -> None:
    with pytest.raises(DockerfileError, match="invalid containerPort") as caught:
        reviewed("FROM scratch\nRUN hour-long\nEXPOSE 80 x\n")
    assert caught.value.where == Location("Dockerfile", 3, 11)


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ('ENV a=1 b="c', 11),
        ("COPY a ${b", 8),
        ("COPY --chown=${b a /", 14),
        ("ARG a=1 b=${c", 11),
        ("EXPOSE 1 ${", 10),
        ("WORKDIR ${x:?no}", 9),
    ],
)
def test_a_bad_expansion_has_its_place(line: str, column: int) -> None:
    with pytest.raises(DockerfileError) as caught:
        reviewed(f"FROM scratch\n{line}\n")
    assert caught.value.where == Location("Dockerfile", 2, column)


def test_a_violation_names_its_rules_and_the_first_place() -> None:
    error = violation(reviewed("FROM scratch\nEXPOSE 1/TCP\nCMD x\n"))
    assert error.what == "lint violation found for rules: ExposeProtoCasing, JSONArgsRecommended"
    assert error.where is not None
    assert error.where.line == 2
