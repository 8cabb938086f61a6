"""One build for several machines: an index of images, wherever it goes."""

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any, Unpack

import pytest

from fswatch_builder.model.platform import Platform
from tests.support.builds import Workshop
from tests.support.cli import Running, fswatch_builder

pytestmark = pytest.mark.root

AMD64, ARM64, S390X = Platform("linux", "amd64"), Platform("linux", "arm64"), Platform("linux", "s390x")
BOTH = (AMD64, ARM64)
#: Nothing of it is run.
DOCKERFILE = "FROM scratch\nARG TARGETARCH\nCOPY bin-$TARGETARCH /bin/app\nCOPY all /etc/all\nLABEL arch=$TARGETARCH\n"


@pytest.fixture
def shop(workshop: Workshop) -> Workshop:
    for name in ("amd64", "arm64", "arm"):
        workshop.write(f"bin-{name}", f"program for {name}\n")
    workshop.write("all", "for all\n")
    workshop.write("Dockerfile", DOCKERFILE)
    return workshop


def cli(shop: Workshop, *arguments: str, **how: Unpack[Running]) -> subprocess.CompletedProcess[str]:
    return fswatch_builder("build", str(shop.context), f"--store={shop.store}", "--progress=plain", *arguments, **how)


def other(shop: Workshop, command: str, *arguments: str, status: int = 0) -> str:
    done = fswatch_builder(command, f"--store={shop.store}", *arguments, check=False)
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr


def blob(layout: Path, digest: str) -> Any:
    return json.loads((layout / "blobs/sha256" / digest.removeprefix("sha256:")).read_text())


# What is made.


@pytest.mark.parametrize(
    "asked", [["--platform=linux/arm64,linux/amd64"], ["--platform=linux/arm64", "--platform=linux/amd64"]]
)
def test_an_index_has_the_images_in_the_order_asked_for(shop: Workshop, asked: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    told = cli(shop, *asked, "-t=app:1", f"-o=type=oci,dest={out},tar=false").stdout
    (entry,) = json.loads((out / "index.json").read_text())["manifests"]
    assert entry["mediaType"] == "application/vnd.oci.image.index.v1+json"
    assert entry["annotations"]["io.containerd.image.name"] == "docker.io/library/app:1"
    index = blob(out, entry["digest"])
    assert [one["platform"] for one in index["manifests"]] == [
        {"architecture": "arm64", "os": "linux"},
        {"architecture": "amd64", "os": "linux"},
    ]
    for one in index["manifests"]:
        config = blob(out, blob(out, one["digest"])["config"]["digest"])
        assert config["architecture"] == config["config"]["Labels"]["arch"] == one["platform"]["architecture"]
    assert f"index     {entry['digest']}" in told
    assert "image     linux/arm64  sha256:" in told


def test_the_same_build_makes_the_same_index_and_the_tar_is_the_directory(shop: Workshop, tmp_path: Path) -> None:
    asked = ("--platform=linux/amd64,linux/arm64", "--timestamp=5", "-t=app:1")
    cli(shop, *asked, f"-o=type=oci,dest={tmp_path}/one,tar=false", f"-o=type=oci,dest={tmp_path}/one.tar")
    shutil.rmtree(shop.store)
    cli(shop, *asked, f"-o=type=oci,dest={tmp_path}/two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    with tarfile.open(tmp_path / "one.tar") as tar:
        files = {member.name: tar.extractfile(member) for member in tar.getmembers() if member.isfile()}
        content = {name: file.read() for name, file in files.items() if file is not None}
    assert content == {
        str(path.relative_to(tmp_path / "one")): path.read_bytes()
        for path in (tmp_path / "one").rglob("*")
        if path.is_file()
    }


def test_what_others_see_of_it(shop: Workshop, tmp_path: Path) -> None:
    """skopeo chooses by platform, and copies all of it; umoci unpacks what was chosen."""
    cli(shop, "--platform=linux/arm64,linux/amd64,linux/arm/v7", "-t=app:1", f"-o=type=oci,dest={tmp_path}/o,tar=false")

    def skopeo(*arguments: str) -> str:
        return subprocess.run(["skopeo", *arguments], capture_output=True, text=True, check=True).stdout

    for architecture in ("arm64", "amd64"):
        told = json.loads(skopeo("--override-arch", architecture, "inspect", "--config", f"oci:{tmp_path}/o:1"))
        assert told["architecture"] == architecture
    told = json.loads(
        skopeo("--override-arch=arm", "--override-variant=v7", "inspect", "--config", f"oci:{tmp_path}/o:1")
    )
    assert (told["architecture"], told["variant"]) == ("arm", "v7")
    skopeo("copy", "--all", f"oci:{tmp_path}/o:1", f"oci:{tmp_path}/copied:1")
    assert {path.name for path in (tmp_path / "copied/blobs/sha256").iterdir()} == {
        path.name for path in (tmp_path / "o/blobs/sha256").iterdir()
    }
    skopeo("--override-arch=arm64", "copy", f"oci:{tmp_path}/o:1", f"oci:{tmp_path}/arm:1")
    subprocess.run(["umoci", "unpack", "--image", f"{tmp_path}/arm:1", str(tmp_path / "bundle")], check=True)
    assert (tmp_path / "bundle/rootfs/bin/app").read_text() == "program for arm64\n"


def test_one_platform_makes_no_index_unless_it_is_asked_for(shop: Workshop, tmp_path: Path) -> None:
    cli(shop, "--platform=linux/arm64", f"-o=type=oci,dest={tmp_path}/one,tar=false")
    (entry,) = json.loads((tmp_path / "one/index.json").read_text())["manifests"]
    assert (entry["mediaType"], entry["platform"]["architecture"]) == (
        "application/vnd.oci.image.manifest.v1+json",
        "arm64",
    )
    asked = ("--platform=linux/arm64", "--build-arg=BUILDKIT_MULTI_PLATFORM=1")
    cli(shop, *asked, f"-o=type=oci,dest={tmp_path}/many,tar=false", f"-o={tmp_path}/files")
    (entry,) = json.loads((tmp_path / "many/index.json").read_text())["manifests"]
    assert len(blob(tmp_path / "many", entry["digest"])["manifests"]) == 1
    assert os.listdir(tmp_path / "files") == ["linux_arm64"]


def test_files_of_metadata_name_the_index(shop: Workshop, tmp_path: Path) -> None:
    files = (f"--iidfile={tmp_path}/id", f"--metadata-file={tmp_path}/metadata")
    quiet = cli(shop, "--platform=linux/amd64,linux/arm64", "-t=app:1", "-q", *files).stdout.strip()
    metadata = json.loads((tmp_path / "metadata").read_text())
    assert (tmp_path / "id").read_text() == quiet == metadata["containerimage.digest"]
    assert "containerimage.config.digest" not in metadata
    assert metadata["containerimage.descriptor"]["mediaType"] == "application/vnd.oci.image.index.v1+json"
    assert metadata["containerimage.descriptor"]["digest"] == quiet
    assert metadata["image.name"] == "docker.io/library/app:1"


def test_annotations_are_where_they_are_asked_for(shop: Workshop, tmp_path: Path) -> None:
    cli(
        shop,
        "--platform=linux/amd64,linux/arm64",
        "--annotation=all=1",
        "--annotation=manifest[linux/arm64]:all=2",
        "--annotation=index:of=index",
        "--annotation=index-descriptor:of=its descriptor",
        "--annotation=manifest-descriptor[linux/amd64]:of=another",
        f"-o=type=oci,dest={tmp_path}/out,tar=false",
    )
    (entry,) = json.loads((tmp_path / "out/index.json").read_text())["manifests"]
    assert entry["annotations"] == {"of": "its descriptor"}
    index = blob(tmp_path / "out", entry["digest"])
    assert index["annotations"] == {"of": "index"}
    amd64, arm64 = index["manifests"]
    assert (amd64.get("annotations"), arm64.get("annotations")) == ({"of": "another"}, None)
    found = [blob(tmp_path / "out", one["digest"])["annotations"] for one in (amd64, arm64)]
    assert found == [{"all": "1"}, {"all": "2"}]


def test_an_image_without_an_index_cannot_have_it_annotated(shop: Workshop) -> None:
    done = cli(shop, "--annotation=index:a=b", check=False)
    assert done.returncode == 2
    assert "an image for one platform has a manifest and no index" in done.stderr


@pytest.mark.parametrize("squash", ["--squash", "--squash-all"])
def test_each_image_is_squashed_and_compressed(shop: Workshop, squash: str, tmp_path: Path) -> None:
    asked = ("--platform=linux/amd64,linux/arm64", squash)
    cli(
        shop,
        *asked,
        f"-o=type=oci,dest={tmp_path}/z,tar=false,compression=zstd",
        f"-o=type=oci,dest={tmp_path}/g,tar=false",
    )
    configs = []
    for name, wanted in (("z", "tar+zstd"), ("g", "tar+gzip")):
        layout = tmp_path / name
        (entry,) = json.loads((layout / "index.json").read_text())["manifests"]
        for one in blob(layout, entry["digest"])["manifests"]:
            manifest = blob(layout, one["digest"])
            (layer,) = manifest["layers"]
            assert layer["mediaType"].endswith(wanted)
            configs.append(manifest["config"]["digest"])
    assert len(set(configs)) == 2  # the same images, packed otherwise


# Files.


def test_files_go_into_a_directory_of_each_platform(shop: Workshop, tmp_path: Path) -> None:
    asked = ("--platform=linux/amd64,linux/arm64,linux/arm/v7",)
    cli(shop, *asked, f"-o={tmp_path}/out", f"-o=type=tar,dest={tmp_path}/out.tar")
    assert sorted(os.listdir(tmp_path / "out")) == ["linux_amd64", "linux_arm64", "linux_arm_v7"]
    assert (tmp_path / "out/linux_arm64/bin/app").read_text() == "program for arm64\n"
    with tarfile.open(tmp_path / "out.tar") as tar:
        members = {member.name: member for member in tar.getmembers()}
    assert "linux_arm_v7/bin/app" in members
    top = members["linux_amd64"]
    assert (top.mode, top.mtime, top.uid, top.isdir()) == (0o755, 0, 0, True)


def test_files_of_all_platforms_may_share_a_directory_if_they_are_others(shop: Workshop, tmp_path: Path) -> None:
    shop.write("Dockerfile", "FROM scratch\nARG TARGETARCH\nCOPY bin-$TARGETARCH /release/\n")
    spec = f"-o=type=local,dest={tmp_path}/out,platform-split=false"
    cli(shop, "--platform=linux/amd64,linux/arm64", spec)
    assert sorted(os.listdir(tmp_path / "out/release")) == ["bin-amd64", "bin-arm64"]
    shop.write("Dockerfile", DOCKERFILE)
    (tmp_path / "out/release/mine").write_text("stays")
    done = cli(shop, "--platform=linux/amd64,linux/arm64", spec, check=False)
    assert done.returncode == 9
    assert "/bin/app of linux/arm64 is in the image for another platform too" in done.stderr
    assert sorted(os.listdir(tmp_path / "out/release")) == ["bin-amd64", "bin-arm64", "mine"]
    assert os.listdir(tmp_path / "out") == ["release"]


def test_one_platform_is_split_if_asked_for(shop: Workshop, tmp_path: Path) -> None:
    cli(shop, "--platform=linux/arm64", f"-o=type=local,dest={tmp_path}/out,platform-split=true")
    assert os.listdir(tmp_path / "out") == ["linux_arm64"]


def test_mode_delete_is_for_all_of_them(shop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "out/linux_s390x").mkdir(parents=True)
    cli(shop, "--platform=linux/amd64,linux/arm64", "-o=type=local,dest=out,mode=delete", cwd=str(tmp_path))
    assert sorted(os.listdir(tmp_path / "out")) == ["linux_amd64", "linux_arm64"]


# What is for one platform.


@pytest.mark.parametrize("spec", ["type=docker,dest=x.tar", "type=docker,dest=x,tar=false"])
def test_docker_s_own_archive_is_for_one_platform(shop: Workshop, spec: str, tmp_path: Path) -> None:
    done = cli(shop, "--platform=linux/amd64,linux/arm64", f"-o={spec}", check=False, cwd=str(tmp_path))
    assert done.returncode == 2
    assert "type=docker is for one platform" in done.stderr
    assert "give type=oci" in done.stderr
    assert os.listdir(shop.store / "blobs/sha256") == []


def engine(directory: Path, *, snapshotter: bool) -> dict[str, str]:
    """A PATH on which docker is a program that says what it is asked and keeps what it is given."""
    directory.mkdir()
    status = "[[driver-type io.containerd.snapshotter.v1]]" if snapshotter else "[[Backing Filesystem extfs]]"
    (directory / "docker").write_text(
        f'#!/bin/sh\ncase $1 in info) echo "{status}" ;; load) cat > {directory}/loaded ;; esac\n'
    )
    (directory / "docker").chmod(0o755)
    return {"PATH": f"{directory}:{os.environ['PATH']}"}


def test_an_engine_that_knows_indexes_is_given_one(shop: Workshop, tmp_path: Path) -> None:
    asked = ("--platform=linux/amd64,linux/arm64", "-t=app:1", "--load")
    refused = cli(shop, *asked, env=engine(tmp_path / "classic", snapshotter=False), check=False)
    assert refused.returncode == 2
    assert "docker does not take images for several platforms at once" in refused.stderr
    cli(shop, *asked, env=engine(tmp_path / "containerd", snapshotter=True))
    with tarfile.open(tmp_path / "containerd/loaded") as tar:
        member = tar.extractfile("index.json")
        assert member is not None
        (entry,) = json.load(member)["manifests"]
        assert "manifest.json" not in tar.getnames()
    assert entry["mediaType"] == "application/vnd.oci.image.index.v1+json"


# The store.


def test_an_index_in_the_store_is_a_base_of_each_platform(shop: Workshop) -> None:
    cli(shop, "--platform=linux/amd64,linux/arm64", "-t=app:1")
    shop.write("Dockerfile", "FROM app:1\nENV more=1\n")
    cli(shop, "--platform=linux/arm64,linux/amd64", "-t=more:1")
    assert other(shop, "cat", "--platform=linux/arm64", "more:1", "/bin/app") == "program for arm64\n"
    assert other(shop, "cat", "--platform=linux/amd64", "more:1", "/bin/app") == "program for amd64\n"


def test_commands_look_at_the_image_of_a_platform(shop: Workshop) -> None:
    cli(shop, "--platform=linux/amd64,linux/arm64", "-t=app:1")
    table = other(shop, "images", "--format={{.Repository}}:{{.Tag}} {{.Platform}}").splitlines()
    assert sorted(table) == ["app:1 linux/amd64", "app:1 linux/arm64"]
    arm = ("--platform=linux/arm64", "app:1")
    assert other(shop, "inspect", "-f={{.Architecture}}", *arm).strip() == "arm64"
    assert "arch=arm64" in other(shop, "history", "--no-trunc", *arm)
    index = json.loads(other(shop, "inspect", "--raw=index", "app:1"))
    assert [one["platform"]["architecture"] for one in index["manifests"]] == ["amd64", "arm64"]
    assert "not here for linux/s390x" in other(shop, "inspect", "--platform=linux/s390x", "app:1", status=5)
    ids = other(shop, "images", "-q").split()
    assert len(set(ids)) == 2
    told = other(shop, "diff", *ids, status=1)
    assert "M  /bin/app" in told
    assert "of app:1" in other(shop, "rmi", ids[0], status=5)
    assert other(shop, "images", "-q").split() == ids


def test_it_is_saved_loaded_and_removed_whole(shop: Workshop, tmp_path: Path) -> None:
    cli(shop, "--platform=linux/amd64,linux/arm64", "-t=app:1", f"--iidfile={tmp_path}/id")
    for form in ("oci-archive", "docker-archive"):
        archive = str(tmp_path / f"{form}.tar")
        other(shop, "save", f"--format={form}", f"-o={archive}", "app:1")
        elsewhere = f"--store={tmp_path}/{form}"
        assert fswatch_builder("load", elsewhere, archive).stdout == "Loaded image: app:1\n"
        told = fswatch_builder("inspect", elsewhere, "--raw=index", "app:1").stdout
        assert told == other(shop, "inspect", "--raw=index", "app:1")
        one = tmp_path / f"{form}-one"
        other(shop, "save", "--platform=linux/arm64", f"--format={form}", f"-o={one}", "app:1")
        fswatch_builder("load", f"--store={tmp_path}/{form}-arm", "--platform=linux/arm64", str(one))
        told = fswatch_builder("images", f"--store={tmp_path}/{form}-arm", "--format={{.Platform}}").stdout
        assert told == "linux/arm64\n"
    other(shop, "prune", "--force")
    assert other(shop, "cat", "--platform=linux/arm64", "app:1", "/etc/all") == "for all\n"
    lines = other(shop, "rmi", (tmp_path / "id").read_text()[:19]).splitlines()
    assert lines[:2] == ["Untagged: app:1", f"Deleted: {(tmp_path / 'id').read_text()}"]
    other(shop, "prune", "--all", "--force")
    assert os.listdir(shop.store / "blobs/sha256") == []


def test_a_build_for_one_platform_takes_the_name_from_the_index(shop: Workshop) -> None:
    cli(shop, "--platform=linux/amd64,linux/arm64", "-t=app:1")
    cli(shop, "--platform=linux/arm64", "-t=app:1")
    assert other(shop, "images", "--format={{.Platform}}") == "linux/arm64\n"
