"""Values of options."""

import os
from pathlib import Path

import pytest

from fswatch_builder.cli import values
from fswatch_builder.cli.build import _write_whole
from fswatch_builder.errors import UsageError
from fswatch_builder.model.platform import Platform


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


def test_one_platform_is_one() -> None:
    with pytest.raises(UsageError, match="one platform is meant"):
        values.platform("linux/amd64,linux/arm64")
    with pytest.raises(UsageError):
        values.platform("a/b/c/d")


@pytest.mark.parametrize(
    ("items", "wanted"),
    [
        ([], []),
        (["linux/amd64,linux/arm64"], ["linux/amd64", "linux/arm64"]),
        (["linux/arm64", "amd64, linux/arm/v6"], ["linux/arm64", "linux/amd64", "linux/arm/v6"]),
        (["aarch64,linux/arm64/v8,x86_64,arm64"], ["linux/arm64", "linux/amd64"]),
        (["local"], [str(Platform.host())]),
    ],
)
def test_platforms_keep_their_order_and_are_there_once(items: list[str], wanted: list[str]) -> None:
    assert [str(platform) for platform in values.platforms(items)] == wanted


@pytest.mark.parametrize("text", ["", "linux/amd64,", ",", "linux/amd64,nonsense", "a/b/c/d"])
def test_a_platform_that_is_none_is_an_error(text: str) -> None:
    with pytest.raises(UsageError, match="--platform"):
        values.platforms([text])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a=b=c", [("manifest", None, "a", "b=c")]),
        ("manifest:org.x=", [("manifest", None, "org.x", "")]),
        ("manifest[linux/arm64/v8]:a=b", [("manifest", "linux/arm64", "a", "b")]),
        ("index,manifest-descriptor:a=b:c", [("index", None, "a", "b:c"), ("manifest-descriptor", None, "a", "b:c")]),
        (
            "manifest[amd64],manifest-descriptor[arm]:a=b",
            [("manifest", "linux/amd64", "a", "b"), ("manifest-descriptor", "linux/arm/v7", "a", "b")],
        ),
        ("index-descriptor:a=[x]:y=z", [("index-descriptor", None, "a", "[x]:y=z")]),
    ],
)
def test_annotations_say_where_they_are(text: str, wanted: list[tuple[str, str | None, str, str]]) -> None:
    found = [
        (one.place, None if one.platform is None else str(one.platform), one.name, one.value)
        for one in values.annotations([text])
    ]
    assert found == wanted


@pytest.mark.parametrize(
    "text", ["a", "=b", "layer:a=b", "index[linux/arm64]:a=b", "manifest[nonsense]:a=b", "manifest[]:a=b"]
)
def test_an_annotation_of_nothing_is_an_error(text: str) -> None:
    with pytest.raises(UsageError, match="--annotation"):
        values.annotations([text])


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
