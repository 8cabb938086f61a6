"""Variables of a Dockerfile: which instructions expand them, and which arguments are there without an ARG."""

from collections.abc import Callable

import pytest

from fswatch_builder.build.environment import BUILDER_ARGS, PROXY_NAMES
from fswatch_builder.errors import DockerfileError
from fswatch_builder.model.image import DEFAULT_PATH, Healthcheck, RunConfig
from fswatch_builder.model.plan import ImageSource, MainContext, StageSource
from fswatch_builder.model.platform import Platform
from fswatch_builder.model.remote import HttpFile
from fswatch_builder.model.step import CopyAction, RunAction
from tests.unit.build.planning import AMD64, ARM64, actions, config, created_by, planned, run_env

SHA = "0" * 64


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("ENV k$v=$v", "env", (DEFAULT_PATH, "kx=x")),
        ("ENV k $two", "env", (DEFAULT_PATH, "k=80 443/udp")),  # not split
        ("LABEL $v=$v", "labels", {"x": "x"}),
        ("WORKDIR /a/$v/$unset/b", "working_dir", "/a/x/b"),
        ("WORKDIR $two", "working_dir", "/80 443/udp"),
        ("USER $v:$v", "user", "x:x"),
        ("VOLUME /$v $two", "volumes", ("/x", "80 443/udp")),
        ('VOLUME ["/$v"]', "volumes", ("/x",)),
        ("STOPSIGNAL $signal", "stop_signal", "SIGHUP"),
        ("EXPOSE $two", "exposed_ports", ("443/udp", "80/tcp")),  # the only one that splits
        ("CMD $v", "cmd", ("/bin/sh", "-c", "$v")),
        ('CMD ["$v"]', "cmd", ("$v",)),
        ("ENTRYPOINT $v", "entrypoint", ("/bin/sh", "-c", "$v")),
        ('ENTRYPOINT ["$v"]', "entrypoint", ("$v",)),
        ('SHELL ["$v"]', "shell", ("$v",)),
        ("HEALTHCHECK CMD $v", "healthcheck", Healthcheck(("CMD-SHELL", "$v"))),
        ("ONBUILD ENV k=$v", "on_build", ("ENV k=$v",)),
    ],
)
def test_where_the_configuration_takes_variables_and_where_not(line: str, field: str, value: object) -> None:
    assert getattr(config(f'FROM scratch\nARG v=x two="80 443/udp" signal=SIGHUP\n{line}\n'), field) == value


def test_where_copy_and_add_take_variables_and_where_not() -> None:
    args = f"FROM scratch\nARG v=x mode=755 sum=sha256:{SHA}\n"
    (copy,) = actions(f"{args}COPY --chown=$v:$v --chmod=$mode --exclude=$v a$v /$v/\n")
    assert copy == CopyAction(
        add=False, source=MainContext(), words=("ax",), dest="/x/", chown="x:x", chmod="755", exclude=("$v",)
    )
    (add,) = actions(f"{args}ADD --checksum=$sum http://h/$v /d\n")
    assert add == CopyAction(add=True, source=MainContext(), words=(HttpFile("http://h/x", SHA),), dest="/d")


def test_from_sees_global_arguments_alone() -> None:
    assert planned("ARG P=arm64 B=x\nFROM --platform=linux/$P $B\n").target.base == ImageSource("x", ARM64)
    with pytest.raises(DockerfileError, match="should not be blank") as caught:
        planned("FROM scratch\nARG B=x\nENV B=x\nFROM $B\n")
    assert caught.value.where is not None
    assert caught.value.where.line == 4


def test_the_escape_of_a_copied_heredoc_is_a_backslash_whatever_the_directive() -> None:
    (action,) = actions("# escape=`\nFROM scratch\nENV X=1\nCOPY <<A /d\n\\$X `$X $X\nA\n")
    assert isinstance(action, CopyAction)
    assert action.documents == (("A", "$X `1 1\n"),)


def test_each_stage_asks_for_a_global_argument_itself() -> None:
    text = "ARG X=g\nFROM scratch AS a\nARG X\nRUN x\nFROM scratch AS b\nRUN x\nFROM scratch AS c\nARG X\nRUN x\n"
    assert [run_env(text, target=target).get("X") for target in "abc"] == ["g", None, "g"]


def test_an_argument_of_a_child_stage_goes_over_the_env_it_inherits() -> None:
    text = "FROM scratch AS a\nENV X=e\nFROM a\nRUN x\nARG X=own\nRUN x\n"
    assert run_env(text)["X"] == "own"
    assert run_env(text.partition("ARG")[0])["X"] == "e"


@pytest.mark.parametrize("name", PROXY_NAMES)
@pytest.mark.parametrize("spell", [str.upper, str.lower, str.title])
def test_every_proxy_is_there_in_both_spellings(name: str, spell: Callable[[str], str]) -> None:
    env = run_env("FROM scratch\nRUN x\n", args={spell(name): "p"})
    assert (env[name], env[name.lower()]) == ("p", "p")


def test_all_platform_arguments_have_the_values_of_their_platforms() -> None:
    assert dict(planned("FROM scratch\n", platform=Platform("linux", "arm", "v7")).global_args) == {
        "BUILDPLATFORM": "linux/amd64",
        "BUILDOS": "linux",
        "BUILDOSVERSION": "",
        "BUILDARCH": "amd64",
        "BUILDVARIANT": "",
        "TARGETPLATFORM": "linux/arm/v7",
        "TARGETOS": "linux",
        "TARGETOSVERSION": "",
        "TARGETARCH": "arm",
        "TARGETVARIANT": "v7",
        "TARGETSTAGE": "default",
    }


def test_a_platform_argument_that_is_given_changes_no_other() -> None:
    found = planned("FROM scratch\n", args={"TARGETARCH": "z"}).global_args
    assert (found["TARGETARCH"], found["TARGETPLATFORM"], found["BUILDARCH"]) == ("z", "linux/amd64", "amd64")


@pytest.mark.parametrize("name", sorted(BUILDER_ARGS))
def test_an_argument_for_the_builder_needs_no_arg_and_is_no_variable(name: str) -> None:
    text = "FROM scratch\nRUN x\n"
    assert name not in run_env(text, args={name: "1"})
    assert created_by(text, args={name: "1"}) == ["RUN /bin/sh -c x # buildkit"]
    assert planned(text, args={name: "1"}).unused_args == ()


def test_from_finds_a_stage_by_its_name_in_small_letters_alone() -> None:
    assert planned("FROM scratch AS Build\nFROM build\n").target.base == StageSource(0)
    assert planned("FROM scratch AS Build\nFROM Build\n").target.base == ImageSource("Build", AMD64)


def test_a_stage_that_nobody_needs_is_parsed_all_the_same() -> None:
    with pytest.raises(DockerfileError, match="unknown instruction: RUNN"):
        planned("FROM scratch AS unused\nRUNN x\nFROM scratch\n")


@pytest.mark.parametrize(("line", "argv"), [("RUN x", ("/bin/sh", "-c", "x")), ('RUN ["x"]', ("x",))])
def test_a_run_never_goes_through_the_entrypoint(line: str, argv: tuple[str, ...]) -> None:
    base = RunConfig(entrypoint=("of the base",), cmd=("c",))
    (action,) = actions(f'FROM b\nENTRYPOINT ["own"]\n{line}\n', base=base)
    assert isinstance(action, RunAction)
    assert action.argv == argv


def test_the_path_that_a_base_lacks_is_the_usual_one() -> None:
    usual = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert config("FROM scratch\n").env == (usual,)
    assert config("FROM b\n", base=RunConfig()).env == (usual,)
