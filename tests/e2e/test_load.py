"""``load``: an archive's images get the names they have in it, as with docker load."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import fswatch_builder
from tests.support.images import make_image, write_layout
from tests.support.registry import need


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    return write_layout(tmp_path / "layout", {"one": make_image([{"1": b"1"}]), "two": make_image([{"2": b"2"}])})


def copied(layout: Path, tag: str, destination: str) -> None:
    need("skopeo")
    subprocess.run(["skopeo", "copy", "-q", f"oci:{layout}:{tag}", destination], check=True)


def load(tmp_path: Path, *arguments: str, check: bool = True) -> str:
    done = fswatch_builder("load", f"--store={tmp_path}/store", *arguments, check=check)
    return done.stdout + done.stderr


def names(tmp_path: Path) -> list[str]:
    form = "--format={{.Repository}}:{{.Tag}}"
    return sorted(fswatch_builder("images", f"--store={tmp_path}/store", form).stdout.split())


@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive"])
def test_names_of_other_tools_archives_are_kept(tmp_path: Path, layout: Path, kind: str) -> None:
    archive = tmp_path / "image.tar"
    copied(layout, "one", f"{kind}:{archive}:example.com/team/app:2")
    assert load(tmp_path, str(archive)) == "Loaded image: example.com/team/app:2\n"
    load(tmp_path, "-t", "own:1", "-i", str(archive))
    assert names(tmp_path) == ["example.com/team/app:2", "own:1"]


def test_our_own_archives_come_back_under_all_their_names(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nENV a=b\n")
    outputs = [f"--output=type={kind},dest={tmp_path}/{kind}.tar" for kind in ("oci", "docker")]
    fswatch_builder("build", f"--store={tmp_path}/first", "-t=a:1", "-t=b/c:2", *outputs, str(tmp_path))
    for kind in ("oci", "docker"):
        shutil.rmtree(tmp_path / "store", ignore_errors=True)
        load(tmp_path, f"{tmp_path}/{kind}.tar")
        assert names(tmp_path) == ["a:1", "b/c:2"]


def test_an_archive_of_several_images_is_loaded_whole_but_not_under_one_name(tmp_path: Path, layout: Path) -> None:
    archive = tmp_path / "both.tar"
    subprocess.run(["tar", "-C", layout, "-cf", archive, "."], check=True)
    told = load(tmp_path, str(archive))  # a tag alone names nothing
    assert told.count("Loaded image ID: sha256:") == 2
    assert told.count("note: it has no name: give it one with --tag") == 2
    assert "note" not in load(tmp_path, "-q", str(archive))
    assert "holds 2 images" in load(tmp_path, "-t", "x", str(archive), check=False)


def test_the_platform_s_image_is_loaded(tmp_path: Path) -> None:
    here, there = make_image(architecture="amd64"), make_image(architecture="s390x")
    layout = write_layout(tmp_path / "layout", {"a": here, "b": there})
    index = json.loads((layout / "index.json").read_text())
    for entry, architecture in zip(index["manifests"], ("amd64", "s390x"), strict=True):
        entry["platform"] = {"os": "linux", "architecture": architecture}
    (layout / "index.json").write_text(json.dumps(index))
    archive = tmp_path / "both.tar"
    subprocess.run(["tar", "-C", layout, "-cf", archive, "."], check=True)
    load(tmp_path, "--platform=linux/s390x", "-t=z", str(archive))
    assert there.digest in fswatch_builder("images", f"--store={tmp_path}/store", "--format={{.Digest}}").stdout
    assert "linux/riscv64" in load(tmp_path, "--platform=linux/riscv64", str(archive), check=False)


def test_what_is_no_archive_of_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    assert "ERROR: " in load(tmp_path, str(tmp_path / "file"), check=False)
    assert "there is no file" in load(tmp_path, str(tmp_path / "gone"), check=False)
    assert names(tmp_path) == []


@pytest.mark.parametrize("way", ["pipe", "file"])
@pytest.mark.parametrize("argument", [[], ["-"], ["-i", "-"]])
def test_standard_input_may_be_the_archive(tmp_path: Path, layout: Path, way: str, argument: list[str]) -> None:
    archive = tmp_path / "image.tar"
    copied(layout, "one", f"docker-archive:{archive}:app:1")
    command = [sys.executable, "-m", "fswatch_builder", "load", f"--store={tmp_path}/store", *argument]
    if way == "file":
        with open(archive, "rb") as stdin:
            done = subprocess.run(command, stdin=stdin, check=True, capture_output=True)
    else:
        done = subprocess.run(command, input=archive.read_bytes(), check=True, capture_output=True)
    assert done.stdout == b"Loaded image: app:1\n"
    assert os.listdir(tmp_path / "store/work") == [".lock"]


def test_an_archive_may_come_through_a_named_pipe_as_from_a_shells_substitution(tmp_path: Path, layout: Path) -> None:
    archive = tmp_path / "image.tar"
    copied(layout, "one", f"docker-archive:{archive}:app:1")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cp", archive, pipe]):
        assert load(tmp_path, "-i", str(pipe)) == "Loaded image: app:1\n"
    with subprocess.Popen(["cp", "/bin/true", pipe]):
        assert f"{pipe} cannot be used: neither a tar" in load(tmp_path, "-i", str(pipe), check=False)


def test_a_name_that_cannot_be_used_is_told_and_the_image_is_there(tmp_path: Path) -> None:
    layout = write_layout(tmp_path / "layout", {"Not A:Name": make_image([{"1": b"1"}])})
    subprocess.run(["tar", "-C", layout, "-cf", tmp_path / "image.tar", "."], check=True)
    told = load(tmp_path, str(tmp_path / "image.tar"))
    assert "note: 'Not A:Name', as the archive calls it, is no image's name" in told
    assert "Loaded image ID: sha256:" in told
    assert "note:" not in load(tmp_path, "-q", str(tmp_path / "image.tar"))


def test_what_comes_through_a_pipe_and_is_no_archive_is_told_by_that_name(tmp_path: Path) -> None:
    done = fswatch_builder("load", f"--store={tmp_path}/store", check=False, stdin="text")
    assert done.returncode == 5
    assert "standard input" in done.stderr
    assert str(tmp_path) not in done.stderr


def test_two_archives_are_one_too_many(tmp_path: Path) -> None:
    assert "two archives" in load(tmp_path, "-i", "a", "b", check=False)
