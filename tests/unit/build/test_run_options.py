"""RUN's flags on the way from the Dockerfile to what is done: sources, entitlements, the agent's variable."""

import pytest

from fswatch_builder.errors import DockerfileError
from fswatch_builder.model.mount import BindMount, CacheMount
from fswatch_builder.model.plan import ImageSource, NamedContext, Scratch, StageSource
from fswatch_builder.model.sandbox import NETWORK_HOST, SECURITY_INSECURE, SandboxOptions
from fswatch_builder.model.step import RunAction
from tests.unit.build.planning import AMD64, actions, created_by, planned, run_env


def run(text: str, **how: object) -> RunAction:
    return [action for action in actions(text, **how) if isinstance(action, RunAction)][-1]


def origins(flag: str, contexts: dict[str, str] | None = None) -> list[object]:
    text = f"FROM scratch AS base\nFROM scratch AS Tools\nFROM scratch AS last\nRUN {flag} true\n"
    return list(planned(text, contexts=contexts or {}).stages[-1].mount_sources.values())


def test_from_is_a_stage_whatever_its_case_or_a_context_or_an_image() -> None:
    assert origins("--mount=from=tools,target=/t") == [StageSource(1)]
    assert origins("--mount=from=TOOLS,target=/t") == [StageSource(1)]
    assert origins("--mount=from=alpine:3,target=/t") == [ImageSource("alpine:3", AMD64)]
    assert origins("--mount=from=scratch,target=/t") == [Scratch()]
    assert origins("--mount=from=extra,target=/t", {"extra": "/x"}) == [NamedContext("extra", "/x", AMD64)]
    assert origins("--mount=type=tmpfs,target=/t") == []


def test_a_number_is_no_stage_for_a_mount() -> None:
    assert origins("--mount=from=0,target=/t") == [ImageSource("0", AMD64)]


def test_g13_a_stage_that_only_a_mount_needs_is_built_and_others_are_not() -> None:
    text = "FROM scratch AS a\nFROM scratch AS b\nFROM scratch\nRUN --mount=type=cache,target=/c,from=b x\n"
    assert [stage.name for stage in planned(text).stages] == ["b", None]


def test_g12_a_trigger_s_mount_is_resolved_in_the_stage_it_runs_in() -> None:
    text = "FROM scratch AS a\nFROM scratch\n"
    plan = planned(text, triggers={1: ("RUN --mount=from=a,target=/t x",)})
    assert [stage.name for stage in plan.stages] == ["a", None]
    assert dict(plan.stages[-1].mount_sources) == {"a": StageSource(0)}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("FROM scratch AS a\nRUN --mount=from=a,target=/t x\n", "circular dependency detected on stage: a"),
        (
            "FROM scratch AS a\nRUN --mount=from=b,target=/t x\nFROM scratch AS b\nRUN --mount=from=a,target=/t x\n",
            "circular dependency detected on stage: a",
        ),
        (
            "FROM scratch AS a\nRUN --mount=from=b,target=/t x\nFROM scratch AS b\n",
            'cannot mount from stage "b", it needs to be defined before current stage "a"',
        ),
    ],
)
def test_f3_a_stage_cannot_mount_from_itself_or_a_later_one(text: str, what: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        planned(text)
    assert caught.value.what == what
    assert caught.value.where is not None
    assert caught.value.where.line == 2


def test_values_are_expanded_and_relative_targets_joined() -> None:
    text = "FROM scratch\nARG D=data\nENV E=x\nWORKDIR /w\nRUN --mount=type=cache,target=$D,id=${E}1 true\n"
    assert run(text).mounts == (CacheMount("/w/data", "x1"),)


def test_the_namespace_of_caches_is_a_build_argument() -> None:
    text = "FROM scratch\nRUN --mount=type=cache,target=/c true\n"
    assert run(text, args={"BUILDKIT_CACHE_MOUNT_NS": "mine"}).cache_namespace == "mine"
    assert run(text).cache_namespace == ""
    assert run("FROM scratch\nRUN true\n", args={"BUILDKIT_CACHE_MOUNT_NS": "mine"}).cache_namespace == ""


def test_mounts_are_not_in_the_history() -> None:
    text = "FROM scratch\nRUN --mount=type=secret,id=x --network=none true\n"
    assert created_by(text) == ["RUN /bin/sh -c true # buildkit"]


def test_the_first_agent_is_in_the_environment_unless_the_image_names_one() -> None:
    text = "FROM scratch\n{}RUN --mount=type=ssh,target=/a --mount=type=ssh,id=b true\n"
    assert run_env(text.format(""))["SSH_AUTH_SOCK"] == "/a"
    assert run_env(text.format("ENV SSH_AUTH_SOCK=/mine\n"))["SSH_AUTH_SOCK"] == "/mine"
    assert "SSH_AUTH_SOCK" not in run_env("FROM scratch\nRUN true\n")


def test_r6_r7_modes_of_network_and_security() -> None:
    everything = SandboxOptions(allowed=frozenset((NETWORK_HOST, SECURITY_INSECURE)))
    assert run("FROM scratch\nRUN x\n").network == "default"
    assert run("FROM scratch\nRUN --network=default --security=sandbox x\n").security == "sandbox"
    assert run("FROM scratch\nRUN --network=none x\n").network == "none"
    assert run("FROM scratch\nRUN --network=host x\n", sandbox=everything).network == "host"
    assert run("FROM scratch\nRUN --security=insecure x\n", sandbox=everything).security == "insecure"


def test_the_command_line_s_network_holds_where_a_run_says_nothing() -> None:
    options = SandboxOptions(network="none", allowed=frozenset((NETWORK_HOST,)))
    assert run("FROM scratch\nRUN x\n", sandbox=options).network == "none"
    assert run("FROM scratch\nRUN --network=host x\n", sandbox=options).network == "host"


@pytest.mark.parametrize(
    ("flag", "what", "hint"),
    [
        ("--network=host", "entitlement network.host is not allowed", "--allow network.host"),
        ("--security=insecure", "entitlement security.insecure is not allowed", "--allow security.insecure"),
        ("--network=nome", 'invalid network mode "nome"', "did you mean none?"),
        ("--security=off", 'invalid security mode "off"', "there are sandbox, insecure"),
        ("--device=gpu", "RUN --device is not supported yet", ""),
    ],
)
def test_what_is_not_allowed_or_not_known_is_refused(flag: str, what: str, hint: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        run(f"FROM scratch\nRUN {flag} x\n")
    assert what in caught.value.what
    assert hint in (caught.value.hint or "")
    assert caught.value.where is not None


def test_a_bind_mount_takes_the_stage_it_names() -> None:
    text = "FROM scratch AS a\nFROM scratch\nRUN --mount=from=a,target=/t,source=x true\n"
    assert run(text).mounts == (BindMount("/t", StageSource(0), "/x"),)
