"""Values of options."""

import os
from pathlib import Path

import pytest

from fswatch_builder.cli import values
from fswatch_builder.cli.build import _write_whole
from fswatch_builder.errors import UsageError


def test_the_store_of_root_and_of_others() -> None:
    assert values.default_store({"HOME": "/root"}, 0) == "/var/lib/fswatch-builder"
    assert values.default_store({"HOME": "/home/u"}, 1000) == "/home/u/.local/share/fswatch-builder"
    assert values.default_store({"HOME": "/home/u", "XDG_DATA_HOME": "/d"}, 1000) == "/d/fswatch-builder"


def test_a_build_arg_alone_takes_the_environments_value_if_there_is_one() -> None:
    assert values.build_args(["A=1", "B", "C", "D="], {"B": "2"}) == {"A": "1", "B": "2", "D": ""}


def test_the_epoch_of_the_environment_is_a_build_arg_unless_given() -> None:
    assert values.build_args([], {"SOURCE_DATE_EPOCH": "5"}) == {"SOURCE_DATE_EPOCH": "5"}
    assert values.build_args(["SOURCE_DATE_EPOCH=6"], {"SOURCE_DATE_EPOCH": "5"}) == {"SOURCE_DATE_EPOCH": "6"}


@pytest.mark.parametrize("text", ["=x", "", "base", "scratch=.", "context=.", "base=/no/such/place"])
def test_a_bad_build_context_is_an_error(text: str) -> None:
    with pytest.raises(UsageError):
        values.build_contexts([text])


def test_build_contexts(tmp_path: Path) -> None:
    assert values.build_contexts([f"base={tmp_path}", "b=docker-image://x:1"]) == {
        "base": str(tmp_path),
        "b": "docker-image://x:1",
    }


def test_several_platforms_are_refused_by_name() -> None:
    with pytest.raises(UsageError, match="not supported yet"):
        values.platform("linux/amd64,linux/arm64")
    with pytest.raises(UsageError):
        values.platform("a/b/c/d")


@pytest.mark.parametrize("value", ["", "some"])
def test_hash_modes(value: str) -> None:
    with pytest.raises(UsageError):
        values.hash_mode(value)


def test_a_device_or_pipe_is_written_to_and_a_link_is_followed_never_replaced(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    _write_whole(f"/proc/self/fd/{writing}", "text")
    assert os.read(reading, 10) == b"text"
    os.close(reading)
    os.close(writing)
    _write_whole("/dev/null", "text")
    assert Path("/dev/null").is_char_device()
    (tmp_path / "link").symlink_to("file")
    _write_whole(str(tmp_path / "link"), "text")
    assert (tmp_path / "file").read_text() == "text"
    assert (tmp_path / "link").is_symlink()


def test_a_short_option_may_have_an_equals_sign_as_docker_s() -> None:
    assert [str(name) for name in values.references(["=a:1", "b"])] == [
        "docker.io/library/a:1",
        "docker.io/library/b:latest",
    ]
