"""ARG and ENV: which value wins, where it is seen (hazards G)."""

import pytest

from fswatch_builder.errors import DockerfileError
from fswatch_builder.model.image import RunConfig
from tests.unit.build.planning import config, created_by, planned, run_env


def test_g1_a_bare_arg_imports_the_global_one() -> None:
    assert run_env("ARG X=g\nFROM scratch\nARG X\nRUN x\n")["X"] == "g"


def test_a_global_arg_that_no_stage_names_is_not_seen() -> None:
    assert "X" not in run_env("ARG X=g\nFROM scratch\nRUN x\n")


def test_a_stage_default_beats_the_global_one_and_a_build_arg_both() -> None:
    text = "ARG X=g\nFROM scratch\nARG X=s\nRUN x\n"
    assert run_env(text)["X"] == "s"
    assert run_env(text, args={"X": "b"})["X"] == "b"


def test_global_args_serve_later_ones() -> None:
    assert planned("ARG A=1\nARG B=x$A\nFROM $B\n").target.base_text == "x1"


def test_a_bare_arg_without_value_is_absent_from_run_yet_in_its_history() -> None:
    text = "FROM scratch\nARG X\nRUN x\n"
    assert "X" not in run_env(text)
    assert created_by(text) == ["ARG X", "RUN |1 X= /bin/sh -c x # buildkit"]


def test_an_empty_default_is_present_and_empty() -> None:
    assert run_env("FROM scratch\nARG X=\nRUN x\n")["X"] == ""


def test_a_build_arg_is_not_expanded_and_the_default_not_looked_at() -> None:
    text = "FROM scratch\nARG X=${Y:?must-fail}\nRUN x\n"
    assert run_env(text, args={"X": "$Z"})["X"] == "$Z"
    with pytest.raises(DockerfileError, match="must-fail"):
        run_env(text)
    assert planned("ARG X=${Y:?must-fail}\nFROM $X\n", args={"X": "a"}).target.base_text == "a"


def test_the_later_line_wins_for_run_and_only_env_reaches_the_image() -> None:
    assert run_env("FROM scratch\nARG X=a\nENV X=e\nRUN x\n")["X"] == "e"
    text = "FROM scratch\nENV X=e\nARG X=a\nRUN x\n"
    assert run_env(text)["X"] == "a"
    assert "X=e" in config(text).env


def test_g4_an_arg_after_the_bases_env_wins() -> None:
    base = RunConfig(env=("X=base",))
    assert run_env("FROM b\nARG X\nRUN x\n", base=base, args={"X": "arg"})["X"] == "arg"
    assert run_env("FROM b\nRUN x\n", base=base, args={"X": "arg"})["X"] == "base"


def test_a_child_stage_puts_the_images_env_over_inherited_args() -> None:
    text = "FROM scratch AS a\nENV X=e\nARG X=a\nFROM a\nRUN x\n"
    assert run_env(text)["X"] == "e"


def test_a_stage_from_a_stage_keeps_its_args() -> None:
    assert run_env("FROM scratch AS a\nARG X=1\nFROM a\nRUN x\n")["X"] == "1"


def test_g3_a_sibling_stage_does_not() -> None:
    assert "X" not in run_env("FROM scratch AS a\nARG X=1\nFROM scratch\nCOPY --from=a / /\nRUN x\n")


@pytest.mark.parametrize("given", ["http_proxy", "HTTP_PROXY"])
def test_a_proxy_is_set_in_both_spellings_and_stays_out_of_the_history(given: str) -> None:
    text = "FROM scratch\nRUN x\n"
    env = run_env(text, args={given: "p"})
    assert (env["http_proxy"], env["HTTP_PROXY"]) == ("p", "p")
    assert created_by(text, args={given: "p"}) == ["RUN /bin/sh -c x # buildkit"]


def test_a_declared_proxy_is_an_arg_like_any_other() -> None:
    text = "FROM scratch\nARG http_proxy\nRUN x\n"
    assert created_by(text, args={"http_proxy": "p"})[-1] == "RUN |1 http_proxy=p /bin/sh -c x # buildkit"


def test_platform_args_need_a_bare_arg() -> None:
    assert run_env("FROM scratch\nARG TARGETARCH\nRUN x\n")["TARGETARCH"] == "amd64"
    assert "TARGETARCH" not in run_env("FROM scratch\nRUN x\n")


def test_g5_a_stage_default_beats_a_platform_arg() -> None:
    assert run_env("FROM scratch\nARG TARGETARCH=x\nRUN x\n")["TARGETARCH"] == "x"


def test_a_platform_arg_can_be_overridden() -> None:
    assert planned("FROM x-$TARGETARCH\n", args={"TARGETARCH": "z"}).target.base_text == "x-z"


@pytest.mark.parametrize(("target", "want"), [("a", "a"), (None, "b")])
def test_targetstage(target: str | None, want: str) -> None:
    plan = planned("FROM scratch AS a\nFROM scratch AS b\n", target=target)
    assert plan.global_args["TARGETSTAGE"] == want


def test_targetstage_of_a_last_stage_without_a_name() -> None:
    assert planned("FROM scratch\n").global_args["TARGETSTAGE"] == "default"


def test_one_env_line_sees_the_variables_before_it_and_arg_items_each_other() -> None:
    env = run_env("FROM scratch\nENV A=1\nENV A=2 B=$A\nARG C=1 D=$C\nRUN x\n")
    assert (env["A"], env["B"], env["D"]) == ("2", "1", "1")


def test_run_text_is_not_expanded() -> None:
    assert created_by("FROM scratch\nENV A=1\nRUN echo $A\n")[-1] == "RUN /bin/sh -c echo $A # buildkit"


def test_each_arg_is_shown_once_at_its_first_place_with_its_present_value() -> None:
    text = "FROM scratch\nARG A=1\nARG B=2\nARG A=3\nENV B=4\nRUN x\n"
    assert created_by(text)[-1] == "RUN |2 A=3 B=4 /bin/sh -c x # buildkit"


def test_an_error_in_a_global_default_has_its_place() -> None:
    with pytest.raises(DockerfileError) as caught:
        planned("ARG A=1\nARG B=${A\nFROM scratch\n")
    assert caught.value.where is not None
    assert caught.value.where.line == 2
