"""ONBUILD in a build: which stage runs a trigger, and whom it needs (hazards G11, G12)."""

import pytest

from fswatch_builder.errors import DockerfileError
from fswatch_builder.model.image import RunConfig
from fswatch_builder.model.plan import ImageSource, StageSource
from tests.unit.build.planning import AMD64, config, created_by, planned, run_env


def test_a_trigger_is_stored_without_a_line_of_history() -> None:
    text = "FROM scratch\nONBUILD RUN a\nONBUILD COPY . /\n"
    assert config(text).on_build == ("RUN a", "COPY . /")
    assert created_by(text) == []


def test_g11_a_child_stage_runs_it_first_and_clears_it() -> None:
    text = "FROM scratch AS a\nENV A=1\nONBUILD RUN trigger\nONBUILD ENV A=2\nRUN own\nFROM a\nRUN child\n"
    assert created_by(text) == ["RUN /bin/sh -c trigger # buildkit", "ENV A=2", "RUN /bin/sh -c child # buildkit"]
    assert config(text).on_build == ()
    assert run_env(text)["A"] == "2"


def test_the_stage_that_says_onbuild_does_not_run_it() -> None:
    assert created_by("FROM scratch\nONBUILD RUN trigger\nRUN own\n") == ["RUN /bin/sh -c own # buildkit"]


def test_a_grandchild_runs_nothing() -> None:
    text = "FROM scratch AS a\nONBUILD RUN trigger\nFROM a AS b\nRUN b\nFROM b\nRUN c\n"
    assert created_by(text) == ["RUN /bin/sh -c c # buildkit"]


def test_a_child_that_says_onbuild_itself_hands_that_on_and_no_more() -> None:
    text = "FROM scratch AS a\nONBUILD RUN one\nFROM a AS b\nONBUILD RUN two\nFROM b\n"
    assert created_by(text) == ["RUN /bin/sh -c two # buildkit"]
    assert config(text, target="b").on_build == ("RUN two",)


def test_the_triggers_of_a_base_image_run_once_and_are_cleared() -> None:
    base = RunConfig(on_build=("ENV A=1", "RUN x"))
    text = "FROM b AS one\nRUN y\nFROM one\nRUN z\n"
    assert created_by(text, base=base, target="one") == [
        "ENV A=1",
        "RUN /bin/sh -c x # buildkit",
        "RUN /bin/sh -c y # buildkit",
    ]
    assert created_by(text, base=base) == ["RUN /bin/sh -c z # buildkit"]
    assert config(text, base=base).on_build == ()


def test_g12_a_stage_that_only_a_trigger_needs_is_built() -> None:
    text = "FROM scratch AS src\nRUN x\nFROM scratch AS dropped\nFROM base\n"
    assert [stage.index for stage in planned(text).stages] == [2]
    plan = planned(text, triggers={2: ("COPY --from=src /a /b",)})
    assert [stage.index for stage in plan.stages] == [0, 2]
    assert plan.target.sources == {"src": StageSource(0)}


def test_a_trigger_may_copy_from_an_image() -> None:
    plan = planned("FROM base\n", triggers={0: ("COPY --from=alpine /a /b",)})
    assert plan.target.sources == {"alpine": ImageSource("alpine", AMD64)}


def test_a_trigger_of_a_parent_stage_may_name_a_stage_of_the_child() -> None:
    text = "FROM scratch AS base\nONBUILD COPY --from=src /a /b\nFROM scratch AS src\nFROM base AS mid\n"
    plan = planned(text)
    assert [stage.index for stage in plan.stages] == [0, 1, 2]
    with pytest.raises(DockerfileError, match='cannot copy from stage "src"') as caught:
        planned(
            "FROM scratch AS base\nONBUILD COPY --from=src /a /b\nFROM base AS mid\nFROM scratch AS src\n", target="mid"
        )
    assert caught.value.where is not None
    assert caught.value.where.line == 3


def test_an_arg_of_a_trigger_is_asked_for() -> None:
    plan = planned("FROM base\n", args={"A": "1"}, triggers={0: ("ARG A",)})
    assert plan.unused_args == ()


def test_a_named_context_in_place_of_a_stage_runs_nothing() -> None:
    plan = planned("FROM base AS a\n", contexts={"a": "docker-image://x"}, triggers={0: ("RUN x",)})
    assert plan.target.instructions == ()
