"""FROM and stages: what a name means, what is built (hazards G)."""

import pytest

from fswatch_builder.errors import DockerfileError, UsageError
from fswatch_builder.model.plan import ImageSource, NamedContext, Scratch, StageSource
from tests.unit.build.planning import AMD64, ARM64, planned


def indexes(text: str, **how: object) -> list[int]:
    return [stage.index for stage in planned(text, **how).stages]  # type: ignore[arg-type]


def test_an_earlier_stage_wins_over_an_image_of_that_name() -> None:
    assert planned("FROM scratch AS alpine\nFROM alpine\n").target.base == StageSource(0)


def test_the_stage_itself_is_no_earlier_stage() -> None:
    assert planned("FROM alpine AS alpine\n").target.base == ImageSource("alpine", AMD64)


def test_a_named_context_replaces_an_image_and_a_whole_stage() -> None:
    contexts = {"base": "docker-image://other", "a": "/dir"}
    assert planned("FROM base\n", contexts=contexts).target.base == NamedContext("base", "docker-image://other", AMD64)
    stage = planned("FROM scratch AS a\nRUN x\nFROM a\n", contexts=contexts).stages[0]
    assert (stage.base, stage.instructions) == (NamedContext("a", "/dir", AMD64), ())


def test_a_context_for_one_platform_goes_before_the_plain_one() -> None:
    contexts = {"base": "x", "base::linux/arm64": "y"}
    assert planned("FROM base\n", contexts=contexts, platform=ARM64).target.base == NamedContext("base", "y", ARM64)
    assert planned("FROM base\n", contexts=contexts).target.base == NamedContext("base", "x", AMD64)


def test_scratch_cannot_be_replaced() -> None:
    assert planned("FROM scratch\n", contexts={"scratch": "x"}).target.base == Scratch()


def test_context_cannot_be_replaced() -> None:
    assert planned("FROM context\n", contexts={"context": "x"}).target.base == ImageSource("context", AMD64)


@pytest.mark.parametrize("name", ["build", "BUILD", "0"])
def test_copy_from_ignores_case_and_takes_an_index(name: str) -> None:
    plan = planned(f"FROM scratch AS Build\nFROM scratch\nCOPY --from={name} /a /\n")
    assert plan.target.sources == {name: StageSource(0)}


def test_a_later_stage_cannot_be_copied_from() -> None:
    with pytest.raises(
        DockerfileError, match='cannot copy from stage "b", it needs to be defined before current stage "a"'
    ):
        planned("FROM scratch AS a\nCOPY --from=b / /\nFROM scratch AS b\nFROM a\n")


def test_a_stage_that_copies_from_itself_is_a_circle() -> None:
    with pytest.raises(DockerfileError, match="circular dependency detected on stage: a") as caught:
        planned("FROM scratch AS a\nCOPY --from=a / /\n")
    assert caught.value.where is not None
    assert caught.value.where.line == 2


@pytest.mark.parametrize(
    "later",
    [
        "FROM scratch AS b\nCOPY --from=a / /\n",
        "FROM a AS b\n",
        "FROM scratch AS c\nCOPY --from=A / /\nFROM c AS b\n",
        "FROM scratch AS b\nCOPY --from=c / /\nFROM a AS c\n",
    ],
)
def test_stages_that_need_each_other_are_a_circle(later: str) -> None:
    with pytest.raises(DockerfileError, match="circular dependency detected on stage: a") as caught:
        planned(f"FROM scratch AS a\nCOPY --from=b / /\n{later}")
    assert caught.value.where is not None
    assert caught.value.where.line == 2


@pytest.mark.parametrize("index", [1, 2])
def test_own_and_later_indexes_are_invalid(index: int) -> None:
    with pytest.raises(DockerfileError, match=f"invalid stage index {index}"):
        planned(f"FROM scratch\nFROM scratch\nCOPY --from={index} / /\nFROM scratch\n")


def test_the_last_of_two_equal_names_wins() -> None:
    assert planned("FROM x AS a\nFROM y AS a\nFROM a\n").target.base == StageSource(1)


def test_unused_stages_are_dropped_with_their_broken_bases() -> None:
    assert indexes("FROM bro:ken:name AS a\nFROM scratch AS b\nFROM b\n") == [1, 2]


def test_g13_an_index_counts_stages_that_are_dropped() -> None:
    plan = planned("FROM x AS unused\nFROM y AS used\nFROM scratch\nCOPY --from=1 / /\n")
    assert [stage.index for stage in plan.stages] == [1, 2]
    assert plan.target.sources == {"1": StageSource(1)}


@pytest.mark.parametrize(("target", "want"), [("b", [0, 1]), ("A", [0]), (None, [2])])
def test_target(target: str | None, want: list[int]) -> None:
    assert indexes("FROM x AS a\nFROM a AS b\nFROM y\n", target=target) == want


def test_an_unknown_target_is_named_with_a_near_one() -> None:
    with pytest.raises(UsageError, match='target stage "buld" could not be found') as caught:
        planned("FROM x AS build\n", target="buld")
    assert caught.value.hint == "did you mean build?"


def test_an_index_is_no_target() -> None:
    with pytest.raises(UsageError):
        planned("FROM x\n", target="0")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be empty"),
        ("# only a comment\n", "cannot be empty|no instructions"),
        ("ARG a=1\n", "contains no stages to build"),
        ("RUN x\nFROM scratch\n", "no build stage in current context"),
        ("FROM ${X}\n", r"base name \(\$\{X\}\) should not be blank"),
    ],
)
def test_nothing_to_build(text: str, message: str) -> None:
    with pytest.raises(DockerfileError, match=message):
        planned(text)


def test_a_stage_inherits_the_platform_of_the_stage_it_starts_from() -> None:
    plan = planned("FROM --platform=linux/arm64 x AS a\nFROM a AS b\nFROM --platform=$TARGETPLATFORM b\n")
    assert [str(stage.platform) for stage in plan.stages] == ["linux/arm64", "linux/arm64", "linux/amd64"]


def test_g2_a_base_is_expanded_before_stages_are_looked_up() -> None:
    assert planned("ARG V=1\nFROM scratch AS base-1\nFROM base-${V}\n").target.base == StageSource(0)


def test_a_variable_in_from_flag_names_the_way_out() -> None:
    with pytest.raises(DockerfileError) as caught:
        planned("FROM scratch AS a\nARG X=a\nCOPY --from=$X / /\n")
    assert "FROM" in (caught.value.hint or "")


@pytest.mark.parametrize("spelled", ["alpine", "alpine:latest", "docker.io/library/alpine", "docker.io/alpine:latest"])
def test_a_context_is_found_by_any_spelling_of_an_image(spelled: str) -> None:
    target = planned(f"FROM {spelled}\n", contexts={"alpine": "./x"}).target
    assert target.base == NamedContext(spelled, "./x", AMD64)


def test_a_context_for_a_platform_goes_before_one_for_all() -> None:
    contexts = {"b": "all", "b::linux/amd64": "one", "b::linux/arm64": "other"}
    assert planned("FROM b\n", contexts=contexts).target.base == NamedContext("b", "one", AMD64)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("RUN --device=gpu true", "RUN --device"),
    ],
)
def test_what_is_not_supported_is_refused_by_name_and_line(line: str, name: str) -> None:
    with pytest.raises(DockerfileError, match=f"{name} is not supported yet") as caught:
        planned(f"FROM scratch\n{line}\n")
    assert caught.value.where is not None
    assert caught.value.where.line == 2


def test_what_is_not_supported_in_an_unused_stage_is_harmless() -> None:
    assert indexes("FROM scratch AS a\nRUN --device=x y\nFROM scratch\n") == [1]


@pytest.mark.parametrize("value", ["CONTEXT", "-1", "1.5", "٣"])
def test_a_source_date_epoch_that_is_no_number_fails(value: str) -> None:
    with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH"):
        planned("FROM scratch\n", args={"SOURCE_DATE_EPOCH": value})


def test_source_date_epoch_comes_from_a_build_argument_or_a_global_arg() -> None:
    assert planned("FROM scratch\n", args={"SOURCE_DATE_EPOCH": "7"}).source_date_epoch == 7
    assert planned("ARG SOURCE_DATE_EPOCH=8\nFROM scratch\n").source_date_epoch == 8
    assert planned("FROM scratch\n").source_date_epoch is None
