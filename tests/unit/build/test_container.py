"""What is run in an image: docker's rules for ENTRYPOINT, CMD and the environment."""

import pytest

from fswatch_builder.build.container import Wish, command_of
from fswatch_builder.errors import UsageError
from fswatch_builder.model.image import RunConfig
from fswatch_builder.runtime.run import Command


def command(config: RunConfig, wish: Wish, *, terminal: bool = False) -> Command:
    return command_of(config, wish, hostname="box", terminal=terminal)


@pytest.mark.parametrize(
    ("entrypoint", "cmd", "given", "words", "argv"),
    [
        (("e",), ("c",), None, (), ("e", "c")),
        (("e",), ("c",), None, ("w",), ("e", "w")),
        (None, ("c",), None, (), ("c",)),
        (None, ("c",), None, ("w", "x"), ("w", "x")),
        (("e",), None, None, (), ("e",)),
        (("e",), ("c",), "p", (), ("p",)),
        (("e",), ("c",), "p", ("w",), ("p", "w")),
        (("e",), ("c",), "", ("w",), ("w",)),
    ],
)
def test_entrypoint_and_cmd(
    entrypoint: tuple[str, ...] | None,
    cmd: tuple[str, ...] | None,
    given: str | None,
    words: tuple[str, ...],
    argv: tuple[str, ...],
) -> None:
    config = RunConfig(entrypoint=entrypoint, cmd=cmd)
    assert command(config, Wish(words=words, entrypoint=given)).argv == argv


@pytest.mark.parametrize("wish", [Wish(), Wish(entrypoint="")])
def test_nothing_to_run(wish: Wish) -> None:
    with pytest.raises(UsageError, match="no command"):
        command(RunConfig(), wish)
    with pytest.raises(UsageError, match="no command"):
        command(RunConfig(entrypoint=("",)), wish)


def test_the_last_of_equal_names_wins_and_nonsense_is_nothing() -> None:
    config = RunConfig(env=("A=1", "no sign", "=none", "A=2", "HOSTNAME=image"), cmd=("c",))
    assert command(config, Wish(env=("B=x=y",))).env == ("HOSTNAME=image", "A=2", "B=x=y")
    assert "TERM=xterm" in command(config, Wish(), terminal=True).env


@pytest.mark.parametrize(
    ("working_dir", "given", "cwd"),
    [("", "", "/"), ("/a", "", "/a"), ("/a", "/b", "/b"), ("../../etc", "", "/etc"), ("//a/./b/..", "", "/a")],
)
def test_the_working_directory_is_absolute(working_dir: str, given: str, cwd: str) -> None:
    assert command(RunConfig(working_dir=working_dir, cmd=("c",)), Wish(cwd=given)).cwd == cwd


def test_user_and_name() -> None:
    config = RunConfig(user="app", cmd=("c",))
    assert command(config, Wish()).user == "app"
    assert command(config, Wish(user="0:0")).user == "0:0"
    assert command(config, Wish()).hostname == "box"
