"""Layers that nobody can unpack, and disks with no room: one clear error from every command that meets them."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from tests.support.builds import Workshop
from tests.support.cli import fswatch_builder
from tests.support.filesystems import mounted

pytestmark = pytest.mark.root

LINK = tarfile.SYMTYPE


def base(tmp_path: Path, *members: tuple[str, dict[str, object]]) -> Path:
    path = tmp_path / "base.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, fields in members:
            member = tarfile.TarInfo(name)
            for field, value in fields.items():
                setattr(member, field, value)
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    return path


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([("n" * 256, {})], "a name of 256 bytes, where no file system has more than 255"),
        (
            [("a", {"type": LINK, "linkname": "b"}), ("b", {"type": LINK, "linkname": "a"}), ("a/f", {})],
            "archive member a/f at byte 1024: links above it that lead in a circle",
        ),
        ([("..", {}), ("../x", {})], "a name with .. in it"),
    ],
    ids=["long-name", "circle", "dotdot"],
)
def test_a_layer_that_cannot_be_unpacked_is_told_by_its_member_whatever_meets_it(
    workshop: Workshop, tmp_path: Path, members: list[tuple[str, dict[str, object]]], said: str
) -> None:
    workshop.write("Dockerfile", 'FROM base AS odd\nCMD ["x"]\nFROM scratch AS nothing\nLABEL a=b\n')
    context = f"--build-context=base={base(tmp_path, *members)}"
    store = f"--store={workshop.store}"
    build = ("build", store, context, "--target=odd", str(workshop.context))
    fswatch_builder(*build, "-t=odd")  # what is not unpacked is handed on as it is
    fswatch_builder("build", store, "-t=nothing", str(workshop.context))
    for status, *command in [
        (5, *build, f"--output={tmp_path}/out"),
        (5, *build, f"--output=type=tar,dest={tmp_path}/out.tar"),
        (5, "cat", store, "odd", "/f"),
        (5, "diff", store, "nothing", "odd"),
        (125, "run", store, "odd"),
    ]:
        done = fswatch_builder(*map(str, command), check=False)
        assert (done.returncode, said in done.stderr) == (status, True), (command, done.stderr)
        assert "Traceback" not in done.stderr
        assert max(map(len, done.stderr.splitlines())) < 1000
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.tar").exists()


def test_names_of_a_hostile_archive_of_add_are_told_with_its_line(workshop: Workshop, tmp_path: Path) -> None:
    base(tmp_path, ("x" * 100_000, {})).rename(workshop.context / "in.tar")
    workshop.write("Dockerfile", "FROM scratch\nADD in.tar /\n")
    done = fswatch_builder("build", f"--store={workshop.store}", str(workshop.context), "-q", check=False)
    assert done.returncode == 4
    assert "a name of 100000 bytes" in done.stderr
    assert "Dockerfile:2" in done.stderr
    assert len(done.stderr) < 1000


def test_what_a_full_disk_refuses_is_an_error_with_a_way_out_and_images_can_be_removed(
    workshop: Workshop, tmp_path: Path
) -> None:
    workshop.write("Dockerfile", 'FROM base\nCMD ["/bin/sh"]\n')
    with mounted("tmpfs", tmp_path, "size=24m") as disk:
        store = f"--store={disk}/store"
        context = f"--build-context=base={workshop.base}"
        fswatch_builder("build", store, context, "-t=app", str(workshop.context))
        with (disk / "ballast").open("wb", buffering=0) as ballast:
            left = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
            os.posix_fallocate(ballast.fileno(), 0, left)
        for status, *command in [
            (125, "run", store, "app", "true"),
            (9, "build", store, context, "-o", f"{tmp_path}/out", str(workshop.context)),
        ]:
            done = fswatch_builder(*map(str, command), check=False)
            assert done.returncode == status, done.stderr
            assert "No space left on device" in done.stderr
            assert "hint: free s" in done.stderr
        assert not (tmp_path / "out").exists()
        assert "Untagged: app:latest" in fswatch_builder("rmi", store, "app").stdout
        assert "app" not in fswatch_builder("images", store).stdout
