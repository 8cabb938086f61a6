"""--output, --load, --push: what a user finds where it was asked for."""

import json
import os
import pty
import signal
import stat
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.builds import Workshop
from tests.support.cli import fswatch_builder
from tests.support.filesystems import mounted
from tests.support.registry import need

pytestmark = pytest.mark.root

DOCKERFILE = (
    "FROM base\nCOPY f /dir/f\nRUN rm -r /home && chown 1000:50 /dir/f && ln /dir/f /dir/again && ln -s f /dir/l\n"
)


def build(
    workshop: Workshop, *arguments: str, dockerfile: str = DOCKERFILE, **how: Any
) -> subprocess.CompletedProcess[str]:
    workshop.write("f", "content\n")
    workshop.write("Dockerfile", dockerfile)
    return fswatch_builder(
        "build",
        str(workshop.context),
        f"--store={workshop.store}",
        f"--build-context=base={workshop.base}",
        "--progress=plain",
        *arguments,
        **how,
    )


def refused(workshop: Workshop, *arguments: str, **how: Any) -> str:
    """What a build that cannot begin says."""
    done = build(workshop, *arguments, check=False, **how)
    assert done.returncode in (2, 9), done.stderr
    assert "#1 " not in done.stderr  # it is told before the first step
    return done.stderr


def manifest_of(layout: Path) -> dict[str, Any]:
    index = json.loads((layout / "index.json").read_text())
    found: dict[str, Any] = json.loads(blob(layout, index["manifests"][0]["digest"]).read_text())
    return found


def blob(layout: Path, digest: str) -> Path:
    return layout / "blobs/sha256" / digest.removeprefix("sha256:")


# Files.


def test_a_directory_alone_gets_the_files_owned_by_who_builds(workshop: Workshop, tmp_path: Path) -> None:
    out = tmp_path / "new/parents/out"
    done = build(workshop, f"-o{out}")
    assert f"wrote local output to {out}" in done.stderr
    assert (out / "dir/f").read_text() == "content\n"
    assert (out / "dir/again").samefile(out / "dir/f")
    assert os.readlink(out / "dir/l") == "f"
    assert not (out / "home").exists()
    assert (out / "bin/busybox").stat().st_mode & 0o777 == 0o755
    status = (out / "dir/f").stat()
    assert (status.st_uid, status.st_gid) == (os.geteuid(), os.getegid())
    assert (out / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert sorted(os.listdir(tmp_path / "new/parents")) == ["out"]


def test_what_is_in_a_directory_stays_and_no_link_in_it_is_followed(workshop: Workshop, tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    for directory in (out / "etc", out / "dir/f", elsewhere):
        directory.mkdir(parents=True)
    (out / "etc/mine").write_text("kept")
    (out / "dir/f/old").write_text("a file takes the place of its directory")
    (out / "tmp").symlink_to(elsewhere)
    (out / "root").write_text("a directory takes the place of this")
    mode = out.stat().st_mode
    build(workshop, f"--output=type=local,dest={out}")
    assert (out / "etc/mine").read_text() == "kept"
    assert (out / "etc/passwd").exists()
    assert (out / "dir/f").read_text() == "content\n"
    assert (out / "tmp").is_dir()
    assert not (out / "tmp").is_symlink()
    assert (out / "root").is_dir()
    assert os.listdir(elsewhere) == []
    assert out.stat().st_mode == mode
    assert [name for name in os.listdir(out) if name.endswith(".tmp")] == []


def test_mode_delete_leaves_nothing_else_and_only_below_the_working_directory(
    workshop: Workshop, tmp_path: Path
) -> None:
    out = tmp_path / "work/out"
    out.mkdir(parents=True)
    (out / "stale").write_text("x")
    asked = f"--output=type=local,dest={out},mode=delete"
    assert "not below the working directory" in refused(workshop, asked, cwd=str(out))
    (tmp_path / "link").symlink_to("/usr")
    assert "not below" in refused(
        workshop, f"--output=type=local,dest={tmp_path}/link/share,mode=delete", cwd=str(tmp_path)
    )
    assert (out / "stale").exists()
    build(workshop, asked, cwd=str(tmp_path))
    assert "stale" not in os.listdir(out)
    assert (out / "dir/f").exists()
    assert os.listdir(tmp_path / "work") == ["out"]


def test_places_that_would_harm_the_store_or_are_no_directory_are_refused(workshop: Workshop, tmp_path: Path) -> None:
    build(workshop)
    for dest in (workshop.store, workshop.store / "blobs", workshop.store.parent):
        assert "local store" in refused(workshop, f"-o{dest}")
    (tmp_path / "file").write_text("x")
    assert "is no directory" in refused(workshop, f"-o{tmp_path}/file")


def test_a_tar_on_standard_output_holds_the_files_with_their_owners_and_nothing_else_is_printed(
    workshop: Workshop, tmp_path: Path
) -> None:
    workshop.write("f", "content\n")
    workshop.write("Dockerfile", DOCKERFILE)
    command = [sys.executable, "-m", "fswatch_builder", "build", str(workshop.context), f"--store={workshop.store}"]
    command += [f"--build-context=base={workshop.base}", "-o", "-"]
    with open(tmp_path / "out.tar", "wb") as out:
        subprocess.run(command, stdout=out, stderr=subprocess.DEVNULL, check=True)
    with tarfile.open(tmp_path / "out.tar") as tar:
        members = {member.name: member for member in tar.getmembers()}
    assert (members["dir/again"].uid, members["dir/again"].gid) == (1000, 50)
    assert members["dir/f"].islnk()
    assert "home" not in members
    assert not any(".wh." in name for name in members)
    build(workshop, f"--output=type=tar,dest={tmp_path}/again.tar")
    assert (tmp_path / "again.tar").read_bytes() == (tmp_path / "out.tar").read_bytes()


@pytest.mark.parametrize("spec", ["-", "type=docker,dest=-", "type=oci"])
def test_no_archive_goes_to_a_terminal(workshop: Workshop, spec: str) -> None:
    workshop.write("Dockerfile", "FROM base\n")
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "fswatch_builder", "build", str(workshop.context), f"--store={workshop.store}"]
    command += [f"--build-context=base={workshop.base}", "--output", spec]
    done = subprocess.run(command, stdout=terminal, stderr=subprocess.PIPE, text=True, check=False)
    os.close(terminal)
    os.close(controller)
    assert done.returncode == 2
    assert "not written to a terminal" in done.stderr
    assert "#1 " not in done.stderr


def test_a_reader_that_goes_away_ends_the_command_quietly(workshop: Workshop) -> None:
    workshop.write("Dockerfile", "FROM base\n")
    command = [sys.executable, "-m", "fswatch_builder", "build", str(workshop.context), f"--store={workshop.store}"]
    command += [f"--build-context=base={workshop.base}", "-q", "--output"]
    for spec in ("-", "type=oci"):
        process = subprocess.Popen([*command, spec], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        said = process.stderr.read()
        process.stderr.close()
        assert process.wait(60) == 141, said
        assert said == b""


@pytest.mark.parametrize("spec", ["-", "type=oci"])
def test_ctrl_c_ends_an_output_though_its_reader_stalls(workshop: Workshop, spec: str) -> None:
    workshop.write("large", os.urandom(4 << 20))  # more than a pipe holds
    workshop.write("Dockerfile", "FROM base\nCOPY large /\n")
    command = [sys.executable, "-m", "fswatch_builder", "build", str(workshop.context), f"--store={workshop.store}"]
    command += [f"--build-context=base={workshop.base}", "-q", "--output", spec]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(1)  # it is under way, and we read no more
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert process.stderr.read() == b"ERROR: interrupted\n"
    process.stdout.close()
    process.stderr.close()
    assert [name for name in os.listdir(workshop.store / "work") if not name.startswith(".")] == []


def test_two_outputs_do_not_share_standard_output(workshop: Workshop) -> None:
    assert "two outputs" in refused(workshop, "-o-", "--output=type=oci,dest=-")


def test_two_outputs_do_not_replace_each_other(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "x")
    for one, other in [
        ("type=oci,dest=x", "type=docker,dest=./x"),
        ("x", "type=tar,dest=link"),
        ("type=oci,dest=x,tar=false", "type=docker,dest=x"),
    ]:
        said = refused(workshop, f"--output={one}", f"--output={other}", cwd=tmp_path)
        assert said.startswith("ERROR: two outputs go to x\n")
    assert not (tmp_path / "x").exists()
    build(workshop, "-otype=oci,dest=/dev/null", "-otype=tar,dest=/dev/null")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("type=oci,dest=no/x.tar", "cannot write to no/x.tar: No such file or directory"),
        ("type=oci,tar=false,dest=no/x", "cannot write to no/x: No such file or directory"),
        ("type=oci,tar=false,dest=file", "file is a file"),
        ("type=oci,tar=false,dest=full", "full holds other things than an OCI image layout"),
        ("type=oci,dest=full", "full is a directory"),
        ("type=local,dest=file", "file is no directory"),
        ("type=oci,dest=tmpfs/x.tar", "cannot write to tmpfs/x.tar: its directory may not be written to"),
        ("type=oci,tar=false,dest=tmpfs/x", "cannot write to tmpfs/x: its directory may not be written to"),
        ("type=local,dest=tmpfs/x/y", "cannot write to tmpfs/x/y: "),
    ],
)
def test_a_place_that_cannot_be_written_is_told_before_the_build(
    workshop: Workshop, tmp_path: Path, spec: str, said: str
) -> None:
    (tmp_path / "file").write_text("kept")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/kept").touch()
    with mounted("tmpfs", tmp_path, "ro"):
        assert f"ERROR: {said}" in refused(workshop, f"--output={spec}", cwd=tmp_path)


# Images.


def test_several_outputs_at_once_each_in_its_own_compression(workshop: Workshop, tmp_path: Path) -> None:
    build(
        workshop,
        f"--output=type=oci,dest={tmp_path}/zstd,tar=false,compression=zstd,name=a:1",
        f"--output=type=docker,dest={tmp_path}/plain,tar=false,compression=uncompressed,force-compression=true",
        f"--output=type=oci,dest={tmp_path}/as-it-is,tar=false",
        f"-o{tmp_path}/files",
        "-t=b:2",
    )
    zstd, plain, kept = (manifest_of(tmp_path / name) for name in ("zstd", "plain", "as-it-is"))
    assert zstd["config"] == plain["config"] == kept["config"]
    kinds = [
        [layer["mediaType"].rpartition(".")[2] for layer in manifest["layers"]] for manifest in (zstd, plain, kept)
    ]
    # The base's layer stays what it is, unless all of them are asked for.
    assert kinds == [["tar+gzip", "tar+zstd", "tar+zstd"], ["tar", "tar", "tar"], ["tar+gzip", "tar+gzip", "tar+gzip"]]
    diff_ids = json.loads(blob(tmp_path / "plain", plain["config"]["digest"]).read_text())["rootfs"]["diff_ids"]
    assert [layer["digest"] for layer in plain["layers"]] == diff_ids
    index = json.loads((tmp_path / "zstd/index.json").read_text())
    names = [entry["annotations"]["io.containerd.image.name"] for entry in index["manifests"]]
    assert names == ["docker.io/library/b:2", "docker.io/library/a:1"]
    assert (tmp_path / "files/dir/f").exists()


def test_force_compression_takes_the_layers_of_the_base_along_and_what_was_made_is_found_again(
    workshop: Workshop, tmp_path: Path
) -> None:
    forced = "compression=gzip,compression-level=9,force-compression=true"
    first = build(
        workshop, f"--output=type=oci,dest={tmp_path}/a,tar=false,{forced}", f"--metadata-file={tmp_path}/meta"
    )
    assert "compressing 3 of 3 layers anew (gzip)" in first.stderr
    manifest = manifest_of(tmp_path / "a")
    assert {layer["mediaType"].rpartition("+")[2] for layer in manifest["layers"]} == {"gzip"}
    index = json.loads((tmp_path / "a/index.json").read_text())
    assert json.loads((tmp_path / "meta").read_text())["containerimage.digest"] == index["manifests"][0]["digest"]
    again = build(workshop, f"--output=type=oci,dest={tmp_path}/b,tar=false,{forced}")
    assert "anew" not in again.stderr
    assert manifest_of(tmp_path / "b") == manifest


def test_a_damaged_layer_is_not_compressed_anew(workshop: Workshop, tmp_path: Path) -> None:
    build(workshop, f"--output=type=oci,dest={tmp_path}/a,tar=false")
    digest = manifest_of(tmp_path / "a")["layers"][0]["digest"]
    path = blob(workshop.store, digest)
    content = bytearray(path.read_bytes())
    content[600] ^= 1
    path.write_bytes(content)
    done = build(workshop, f"--output=type=oci,dest={tmp_path}/b,compression=zstd,force-compression=true", check=False)
    assert done.returncode == 10, done.stderr
    assert "is damaged" in done.stderr
    assert not (tmp_path / "b").exists()


def test_timestamps_stay_if_asked_for(workshop: Workshop, tmp_path: Path) -> None:
    epoch = {"SOURCE_DATE_EPOCH": "1000000000"}
    text = "FROM base\nRUN echo x >/x && touch -d @1500000000 /x\n"

    def time_of(name: str, *more: str) -> float:
        build(
            workshop, f"--output=type=oci,dest={tmp_path}/{name},tar=false{''.join(more)}", dockerfile=text, env=epoch
        )
        with tarfile.open(blob(tmp_path / name, manifest_of(tmp_path / name)["layers"][-1]["digest"])) as layer:
            return layer.getmember("x").mtime

    assert time_of("clamped") == 1_000_000_000
    assert time_of("kept", ",rewrite-timestamp=false") == 1_500_000_000
    assert time_of("said", ",rewrite-timestamp=true") == 1_000_000_000


def test_times_that_nothing_says_how_to_rewrite_are_told(workshop: Workshop, tmp_path: Path) -> None:
    wish = f"--output=type=oci,dest={tmp_path}/x,tar=false,rewrite-timestamp="
    said = "WARN: rewrite-timestamp=true changes nothing: there is no SOURCE_DATE_EPOCH"
    assert said in build(workshop, f"{wish}true", "--progress=quiet").stderr
    assert said not in build(workshop, f"{wish}false", "--progress=quiet").stderr
    epoch = {"SOURCE_DATE_EPOCH": "1"}
    assert said not in build(workshop, f"{wish}true", "--progress=quiet", env=epoch).stderr


def test_type_image_names_the_image_in_the_store(workshop: Workshop) -> None:
    build(workshop, "--output=type=image,name=one:1,compression=zstd", "-t=two:2")
    listed = fswatch_builder("images", f"--store={workshop.store}").stdout.splitlines()[1:]
    assert [":".join(line.split()[:2]) for line in listed] == ["one:1", "two:2"]
    assert len({line.split()[2] for line in listed}) == 1


# Engines.


def engine(directory: Path, name: str, script: str) -> dict[str, str]:
    """A PATH on which an engine of our own is the only one."""
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(f"#!/bin/sh\n{script}")
    (directory / name).chmod(0o755)
    for tool in ("sh", "cat"):
        if not (directory / tool).exists():
            (directory / tool).symlink_to(f"/bin/{tool}")
    return {"PATH": str(directory)}


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_load_hands_an_archive_to_the_engine_of_this_machine(workshop: Workshop, tmp_path: Path, name: str) -> None:
    need("skopeo")
    path = engine(
        tmp_path / "bin", name, f'echo "$@" >{tmp_path}/arguments; cat >{tmp_path}/got.tar; echo Loaded image: x\n'
    )
    done = build(workshop, "--load", "-t=app:1", env=path)
    assert (tmp_path / "arguments").read_text() == "load\n"
    assert f"to run    {name} run --rm app:1" in done.stdout
    inspected = subprocess.run(
        ["skopeo", "--insecure-policy", "inspect", "--config", f"docker-archive:{tmp_path}/got.tar:app:1"],
        capture_output=True,
        check=True,
    )
    assert json.loads(inspected.stdout)["os"] == "linux"


@pytest.mark.parametrize("script", ["cat >/dev/null; echo no daemon >&2; exit 1", "echo no daemon; exit 1"])
def test_an_engine_that_fails_is_told_with_what_it_said(workshop: Workshop, tmp_path: Path, script: str) -> None:
    done = build(workshop, "--output=type=docker", env=engine(tmp_path / "bin", "docker", script), check=False)
    assert done.returncode == 9, done.stderr
    assert "docker load ended with status 1: no daemon" in done.stderr


def test_without_an_engine_load_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    empty = tmp_path / "bin"
    empty.mkdir()
    assert "neither docker nor podman" in refused(workshop, "--load", env={"PATH": str(empty)})


# Squashing.


def layers_of(layout: Path) -> list[set[str]]:
    found = []
    for layer in manifest_of(layout)["layers"]:
        with tarfile.open(blob(layout, layer["digest"])) as tar:
            found.append(set(tar.getnames()))
    return found


STEPS = "FROM base\nRUN echo 1 >/gone; echo 1 >/stays; rm /etc/group\nRUN rm /gone; echo 2 >/stays\nENV a=b\n"


def test_squash_leaves_the_base_and_the_net_difference(workshop: Workshop, tmp_path: Path) -> None:
    out = f"--output=type=oci,dest={tmp_path}/out,tar=false"
    build(workshop, "--squash", out, dockerfile=STEPS)
    base, own = layers_of(tmp_path / "out")
    assert "bin/busybox" in base
    assert own == {"etc", "etc/.wh.group", "stays"}
    config = json.loads(blob(tmp_path / "out", manifest_of(tmp_path / "out")["config"]["digest"]).read_text())
    lines = [(line.get("created_by", ""), line.get("empty_layer", False)) for line in config["history"]]
    assert [text for text, empty in lines if not empty][1:] == ["# 2 layers squashed into one"]
    assert ("ENV a=b", True) in lines
    again = build(workshop, "--squash", f"--output=type=oci,dest={tmp_path}/again,tar=false", dockerfile=STEPS)
    assert "squashing" not in again.stderr
    assert manifest_of(tmp_path / "again") == manifest_of(tmp_path / "out")


def test_squash_all_leaves_one_layer_that_is_the_whole(workshop: Workshop, tmp_path: Path) -> None:
    need("umoci")
    build(
        workshop,
        "--squash-all",
        f"--output=type=oci,dest={tmp_path}/out,tar=false,name=x:1",
        f"-o{tmp_path}/files",
        dockerfile=STEPS,
    )
    (only,) = layers_of(tmp_path / "out")
    assert {"bin/busybox", "stays"} < only
    assert not any(".wh." in name for name in only)
    assert "etc/group" not in only
    command = ["umoci", "unpack", "--image", f"{tmp_path}/out:1", str(tmp_path / "bundle")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert subprocess.run(["diff", "-r", tmp_path / "bundle/rootfs", tmp_path / "files"], check=False).returncode == 0


def test_a_stage_that_starts_from_a_stage_is_squashed_down_to_the_base_of_both(
    workshop: Workshop, tmp_path: Path
) -> None:
    text = "FROM base AS one\nRUN echo 1 >/one\nFROM one\nRUN echo 2 >/two; rm /one\n"
    build(workshop, "--squash", f"--output=type=oci,dest={tmp_path}/out,tar=false", dockerfile=text)
    assert layers_of(tmp_path / "out")[1:] == [{"two"}]


def test_layers_that_undo_each_other_squash_to_none(workshop: Workshop, tmp_path: Path) -> None:
    text = "FROM base\nRUN echo 1 >/one\nRUN rm /one\n"
    build(workshop, "--squash", f"--output=type=oci,dest={tmp_path}/out,tar=false", dockerfile=text)
    assert len(layers_of(tmp_path / "out")) == 1


def test_both_kinds_of_squash_exclude_each_other(workshop: Workshop) -> None:
    assert "exclude each other" in refused(workshop, "--squash", "--squash-all")


def test_files_of_a_hostile_image_stay_in_their_directory(workshop: Workshop, tmp_path: Path) -> None:
    text = "FROM base\nRUN ln -s /etc /up && mkdir -p /a/b && ln -s ../../../../../.. /a/b/out && mkfifo /p\n"
    build(workshop, f"-o{tmp_path}/out", dockerfile=text)
    assert os.readlink(tmp_path / "out/up") == "/etc"
    assert stat.S_ISFIFO((tmp_path / "out/p").stat().st_mode)
    build(workshop, f"-o{tmp_path}/out", dockerfile="FROM base\nRUN mkdir -p /up/inner /a/b/out/x\n")
    assert (tmp_path / "out/up/inner").is_dir()
    assert not os.path.exists("/etc/inner")
