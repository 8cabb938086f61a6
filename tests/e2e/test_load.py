"""``load``: an archive's images get the names they have in it, as with docker load."""

import json
import shutil
import subprocess
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
    listed = fswatch_builder("images", f"--store={tmp_path}/store").stdout.splitlines()
    return sorted(line.split()[0] for line in listed[1:])


@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive"])
def test_names_of_other_tools_archives_are_kept(tmp_path: Path, layout: Path, kind: str) -> None:
    archive = tmp_path / "image.tar"
    copied(layout, "one", f"{kind}:{archive}:example.com/team/app:2")
    assert "loaded example.com/team/app:2  sha256:" in load(tmp_path, str(archive))
    load(tmp_path, "-t", "own:1", str(archive))
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
    assert told.count("which has no name: give it one with --tag") == 2
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
    assert there.digest in load(tmp_path, "--platform=linux/s390x", "-t=z", str(archive))
    assert "linux/riscv64" in load(tmp_path, "--platform=linux/riscv64", str(archive), check=False)


def test_what_is_no_archive_of_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    assert "ERROR: " in load(tmp_path, str(tmp_path / "file"), check=False)
    assert "there is no file" in load(tmp_path, str(tmp_path / "gone"), check=False)
    assert names(tmp_path) == []
