"""``save``: what load, docker's readers and OCI's get back is what was in the store."""

import json
import os
import pty
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.support.cli import fswatch_builder
from tests.support.images import MadeImage, digest, make_image, put_in_store
from tests.support.registry import need

SHARED = {"shared": b"in both"}


@pytest.fixture
def images(tmp_path: Path) -> tuple[MadeImage, MadeImage]:
    one, two = make_image([SHARED, {"1": b"1"}]), make_image([SHARED, {"2": b"2"}])
    put_in_store(tmp_path / "store", {"app:1": one, "app:2": two, "example.com/team/other:9": two})
    return one, two


def save(tmp_path: Path, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    return fswatch_builder("save", f"--store={tmp_path}/store", *arguments, check=check)


def manifests(archive: Path) -> list[dict[str, list[str]]]:
    with tarfile.open(archive) as tar:
        file = tar.extractfile("manifest.json")
        assert file is not None
        return json.load(file)  # type: ignore[no-any-return]


def test_several_images_share_what_they_share(tmp_path: Path, images: tuple[MadeImage, MadeImage]) -> None:
    save(tmp_path, "-o", f"{tmp_path}/both.tar", "app:1", "example.com/team/other:9", "app:2")
    with tarfile.open(tmp_path / "both.tar") as tar:
        names = tar.getnames()
    assert len(names) == len(set(names))
    assert len([name for name in names if name.startswith("blobs/sha256/")]) == 2 + 2 + 3
    first, second = manifests(tmp_path / "both.tar")
    assert first["RepoTags"] == ["app:1"]
    assert second["RepoTags"] == ["example.com/team/other:9", "app:2"]


def test_a_name_alone_is_all_its_tags_and_an_id_has_none(tmp_path: Path, images: tuple[MadeImage, MadeImage]) -> None:
    save(tmp_path, "-o", f"{tmp_path}/all.tar", "app")
    assert [image["RepoTags"] for image in manifests(tmp_path / "all.tar")] == [["app:1"], ["app:2"]]
    save(tmp_path, "-o", f"{tmp_path}/id.tar", digest(images[0].config)[7:19])
    assert [image["RepoTags"] for image in manifests(tmp_path / "id.tar")] == [[]]


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive", "oci"])
def test_skopeo_reads_each_form(tmp_path: Path, images: tuple[MadeImage, MadeImage], form: str) -> None:
    need("skopeo")
    save(tmp_path, "--format", form, "-o", f"{tmp_path}/out", "app:1")
    name = "app:1" if form == "docker-archive" else "1"
    read = subprocess.run(
        ["skopeo", "inspect", "--config", f"{form}:{tmp_path}/out:{name}"], check=True, capture_output=True
    )
    assert json.loads(read.stdout)["rootfs"] == json.loads(images[0].config)["rootfs"]


def test_umoci_unpacks_a_layout(tmp_path: Path, images: tuple[MadeImage, MadeImage]) -> None:
    need("umoci")
    save(tmp_path, "--format=oci", "-o", f"{tmp_path}/layout", "app:2")
    rootless = [] if os.geteuid() == 0 else ["--rootless"]
    unpack = ["umoci", "unpack", *rootless, "--image", f"{tmp_path}/layout:2", f"{tmp_path}/bundle"]
    subprocess.run(unpack, check=True, capture_output=True)
    assert (tmp_path / "bundle/rootfs/2").read_bytes() == b"2"


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_through_a_pipe_and_back(tmp_path: Path, images: tuple[MadeImage, MadeImage], form: str) -> None:
    command = [sys.executable, "-m", "fswatch_builder"]
    saved = subprocess.run(
        [*command, "save", f"--store={tmp_path}/store", f"--format={form}", "app"], check=True, capture_output=True
    )
    loaded = subprocess.run(
        [*command, "load", f"--store={tmp_path}/back"], input=saved.stdout, check=True, capture_output=True, text=False
    )
    assert sorted(loaded.stdout.decode().splitlines()) == ["Loaded image: app:1", "Loaded image: app:2"]
    listed = [
        fswatch_builder("images", f"--store={tmp_path}/{name}", "--no-trunc", "-q", "app") for name in ("store", "back")
    ]
    ids = [done.stdout.split() for done in listed]
    assert sorted(ids[0]) == sorted(ids[1])


def test_the_same_images_make_the_same_bytes(tmp_path: Path, images: tuple[MadeImage, MadeImage]) -> None:
    for name in ("a", "b"):
        save(tmp_path, "-o", f"{tmp_path}/{name}.tar", "app:1", "app:2")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_docker_s_media_types_become_one_family_and_keep_the_id(tmp_path: Path) -> None:
    image = make_image([{"f": b"f"}], docker=True)
    put_in_store(tmp_path / "store", {"app:1": image})
    save(tmp_path, "-o", f"{tmp_path}/out.tar", "app:1")
    assert manifests(tmp_path / "out.tar")[0]["Config"].endswith(digest(image.config)[7:])  # type: ignore[attr-defined]


def test_whole_or_not_at_all(tmp_path: Path, images: tuple[MadeImage, MadeImage]) -> None:
    (tmp_path / "out.tar").write_bytes(b"as it was")
    blob = tmp_path / "store/blobs/sha256" / digest(images[1].layers[1])[7:]
    blob.write_bytes(b"x" * blob.stat().st_size)
    failed = save(tmp_path, "-o", f"{tmp_path}/out.tar", "app:1", "app:2", check=False)
    assert failed.returncode == 10
    assert (tmp_path / "out.tar").read_bytes() == b"as it was"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.tar", "store"]


def test_what_cannot_be_saved_is_told_before_anything_is_written(
    tmp_path: Path, images: tuple[MadeImage, MadeImage]
) -> None:
    unknown = save(tmp_path, "-o", f"{tmp_path}/out.tar", "app:1", "nope", check=False)
    assert unknown.returncode == 5
    assert not (tmp_path / "out.tar").exists()
    assert save(tmp_path, "--format=oci", "app:1", check=False).returncode == 2
    assert save(tmp_path, "--format=zip", "app:1", check=False).returncode == 2


def test_no_archive_is_written_to_a_terminal(tmp_path: Path, images: tuple[MadeImage, MadeImage]) -> None:
    master, slave = pty.openpty()
    try:
        command = [sys.executable, "-m", "fswatch_builder", "save", f"--store={tmp_path}/store", "app:1"]
        refused = subprocess.run(command, stdout=slave, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(slave)
        os.close(master)
    assert refused.returncode == 2
    assert "not written to a terminal" in refused.stderr
