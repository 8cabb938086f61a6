"""RUN for another machine: its own programs, run by qemu-user, which is registered where nobody else sees it."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.support.cli import fswatch_builder
from tests.support.emulated import (
    NO_PATH,
    QEMU,
    emulator,
    foreign_busybox,
    fswatch_builder_emulating,
    registration,
    why_impossible,
)
from tests.support.rootfs import busybox_rootfs

pytestmark = [
    pytest.mark.root,
    pytest.mark.network,
    pytest.mark.skipif(why_impossible() is not None, reason=str(why_impossible())),
]

ELSEWHERE = "arm64" if os.uname().machine == "x86_64" else "amd64"
PLATFORM = f"linux/{ELSEWHERE}"
DOCKERFILE = (
    "FROM base\n"
    "RUN uname -m > /machine\n"
    "RUN mkdir /d && chown 5:6 /d && ln /machine /d/again && ln -s machine /l && chmod 4711 /bin/sh\n"
    "RUN rm /l\n"
    "COPY f /f\n"
)


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A Dockerfile, and bases of this machine and of the other one as one named context each."""
    directory = tmp_path / "context"
    directory.mkdir()
    (directory / "f").write_text("f\n")
    (directory / "Dockerfile").write_text(DOCKERFILE)
    for name, busybox in (("here", None), ("there", foreign_busybox(ELSEWHERE))):
        busybox_rootfs(str(tmp_path / name))
        if busybox is not None:
            shutil.copy2(busybox, tmp_path / name / "bin/busybox")
    (tmp_path / "binfmt").mkdir()
    return directory


def arguments(context: Path, *more: str) -> list[str]:
    around = context.parent
    return [
        "build",
        str(context),
        f"--store={around}/store",
        f"--build-context=base={around}/here",
        f"--build-context=base::{PLATFORM}={around}/there",
        "--progress=plain",
        *more,
    ]


def machines(out: Path) -> dict[str, str]:
    """What each image's own programs say of the machine."""
    return {directory.name: (directory / "machine").read_text().strip() for directory in out.iterdir()}


EACH = {
    f"linux_{ELSEWHERE}": QEMU[ELSEWHERE],
    f"linux_{'amd64' if ELSEWHERE == 'arm64' else 'arm64'}": os.uname().machine,
}


@pytest.mark.parametrize("tracker", ["auto", "fanotify", "inotify", "scan"])
def test_each_image_is_made_by_its_own_programs(context: Path, tracker: str, tmp_path: Path) -> None:
    asked = arguments(context, f"--platform=local,{PLATFORM}", f"--tracker={tracker}", f"-o={tmp_path}/out")
    done = fswatch_builder(*asked)
    assert machines(tmp_path / "out") == EACH
    for directory in (tmp_path / "out").iterdir():
        assert (directory / "d/again").samefile(directory / "machine")
        assert not (directory / "l").exists()
        assert (directory / "bin/busybox").stat().st_mode & 0o7777 == 0o4711
    note = f"programs for {PLATFORM} are run by {emulator(ELSEWHERE)}, registered for this build alone"
    assert done.stderr.count(note) == 1
    assert not os.path.exists(f"/proc/sys/fs/binfmt_misc/{ELSEWHERE}")


def test_what_the_machine_has_registered_is_taken(context: Path, tmp_path: Path) -> None:
    asked = arguments(context, f"--platform=local,{PLATFORM}", f"-o={tmp_path}/out")
    done = fswatch_builder_emulating(str(tmp_path / "binfmt"), [registration(ELSEWHERE)], *asked, env=NO_PATH)
    assert machines(tmp_path / "out") == EACH
    assert "registered for this build alone" not in done.stderr


def test_users_rights_and_arguments_are_as_without_an_emulator(context: Path) -> None:
    (context / "Dockerfile").write_text(
        "FROM base\n"
        "RUN sed -i s/root:x/root:/ /etc/passwd && chmod 4755 /bin/busybox\n"
        "USER app\n"
        "RUN id -u; su root -c 'echo now $(id -u); mknod /n c 1 3 || echo no device'; touch /etc/f || echo kept out\n"
    )
    told = fswatch_builder(*arguments(context, f"--platform={PLATFORM}")).stderr
    for line in ("1000", "now 0", "kept out", "no device"):
        assert f" {line}\n" in told


@pytest.mark.parametrize("left", [False, True])
def test_a_layer_is_the_same_as_without_an_emulator(context: Path, tmp_path: Path, left: bool) -> None:
    """Byte for byte: nothing of the namespace is in it, and no process that was left behind writes to it later."""
    change = (
        "mkdir -p /d/e && echo x > /d/e/f && chown -R 7:8 /d && ln /d/e/f /d/g && ln -s e /d/l && mkfifo /d/p && "
        "chmod 2750 /d"
    )
    if left:
        change += "; (sleep 100 & echo left)"
    (context / "Dockerfile").write_text(f"FROM base\nRUN {change}\n")
    layers = set()
    for platform in ("local", PLATFORM):
        out = tmp_path / platform.replace("/", "_")
        asked = ("--timestamp=5", f"--platform={platform}", f"-o=type=oci,dest={out},tar=false")
        fswatch_builder(*arguments(context, *asked))
        index = json.loads((out / "index.json").read_text())
        manifest = json.loads((out / "blobs/sha256" / index["manifests"][0]["digest"][7:]).read_text())
        layers.add(manifest["layers"][-1]["digest"])
    assert len(layers) == 1


def test_what_was_run_elsewhere_is_in_the_cache_and_needs_no_emulator(context: Path) -> None:
    fswatch_builder(*arguments(context, f"--platform={PLATFORM}"))
    again = fswatch_builder(*arguments(context, f"--platform={PLATFORM}"), env=NO_PATH)
    assert again.stderr.count("CACHED") == 4
    (context / "Dockerfile").write_text(DOCKERFILE.replace("uname", "uname  "))
    refused = fswatch_builder(*arguments(context, f"--platform={PLATFORM}"), env=NO_PATH, check=False)
    assert refused.returncode == 8
    assert f"a RUN for {PLATFORM} cannot be executed here" in refused.stderr
    assert "there is no emulator for it" in refused.stderr
    assert "apt install qemu-user-static" in refused.stderr
    assert "Dockerfile:2" in refused.stderr
    assert "Exec format error" not in refused.stderr


def test_an_emulator_without_the_flag_f_is_told_as_one(context: Path, tmp_path: Path) -> None:
    late = registration(ELSEWHERE, flags="P")
    asked = arguments(context, f"--platform={PLATFORM}")
    refused = fswatch_builder_emulating(str(tmp_path / "binfmt"), [late], *asked, env=NO_PATH, check=False)
    assert refused.returncode == 8
    assert "register it with the flag F" in refused.stderr


def test_an_emulator_that_is_none_is_told(context: Path, tmp_path: Path) -> None:
    (tmp_path / "path").mkdir()
    planted = tmp_path / f"path/qemu-{QEMU[ELSEWHERE]}-static"
    planted.write_text("nothing that runs")
    planted.chmod(0o755)
    asked = arguments(context, f"--platform={PLATFORM}")
    refused = fswatch_builder(*asked, env={"PATH": str(tmp_path / "path")}, check=False)
    assert refused.returncode == 8
    assert f"with {planted} a program that ends with status 0 ends with" in refused.stderr


def test_a_command_is_run_in_an_image_for_another_machine(context: Path, tmp_path: Path) -> None:
    (context / "Dockerfile").write_text("FROM base\n")
    fswatch_builder(*arguments(context, f"--platform=local,{PLATFORM}", "-t=app:1"))
    run = ("run", f"--store={tmp_path}/store", f"--platform={PLATFORM}", "app:1", "uname", "-m")
    assert fswatch_builder(*run).stdout.strip() == QEMU[ELSEWHERE]
    refused = fswatch_builder(*run, env=NO_PATH, check=False)
    assert refused.returncode == 125
    assert f"{PLATFORM} cannot be executed here" in refused.stderr
    here = fswatch_builder("run", f"--store={tmp_path}/store", "app:1", "uname", "-m", env=NO_PATH)
    assert here.stdout.strip() == os.uname().machine
