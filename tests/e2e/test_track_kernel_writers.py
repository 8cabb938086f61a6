"""``track`` where the kernel itself writes to a file below: no event tells of it."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fswatch_builder.tracking.registry import trackers
from tests.support.hints import baseline_of, covers
from tests.support.tracking import IN_PLACE, track

pytestmark = pytest.mark.root


@pytest.fixture
def image(tree: Path) -> Path:
    image = tree / "image"
    image.write_bytes(bytes(1 << 20))
    return image


@pytest.fixture
def device(image: Path) -> Iterator[str]:
    done = subprocess.run(["losetup", "--find", "--show", image], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no loop device here: {done.stderr.strip()}")
    device = done.stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


def write(device: str) -> None:
    fd = os.open(device, os.O_WRONLY)
    os.write(fd, b"x" * 4096)
    os.fsync(fd)
    os.close(fd)


@pytest.mark.parametrize("tracker", ["fanotify", "inotify"])
def test_a_write_to_a_loop_device_raises_no_event_for_its_file(tree: Path, device: str, tracker: str) -> None:
    """The fact that makes the look necessary. Once it fails, the look is not."""
    from fswatch_builder._native import Rootfs

    rootfs = Rootfs(os.fsencode(tree))
    session = trackers()[tracker].arm(rootfs, baseline_of(rootfs))
    try:
        write(device)
        assert not covers(session.settle(), b"image")
    finally:
        session.close()


@pytest.mark.parametrize("tracker", IN_PLACE)
def test_the_file_of_a_loop_device_from_before_is_looked_at(tree: Path, device: str, tracker: str) -> None:
    script = f"dd if=/etc/passwd of={device} bs=512 count=1 conv=fsync 2>../dd"
    done = track(tree, "--tracker", tracker, "--audit", script=script)
    assert "M  image  content, 1.05MB as before" in done.stderr
    assert f"note: image is the file of {os.path.basename(device)}, which no event tells of" in done.stderr


@pytest.mark.parametrize("tracker", IN_PLACE)
def test_the_file_of_a_loop_device_that_the_command_leaves_is_looked_at(tree: Path, image: Path, tracker: str) -> None:
    script = (
        "losetup --find --show image >../name; dd if=/etc/passwd of=$(cat ../name) bs=512 count=1 conv=fsync 2>../dd"
    )
    try:
        done = track(tree, "--tracker", tracker, "--audit", script=script, check=False)
    finally:
        device = tree.with_name("name").read_text().strip()
        if device:
            subprocess.run(["losetup", "--detach", device], check=True)
    if not device:
        pytest.skip("no loop device here")
    assert done.returncode == 0, done.stderr
    assert "M  image  content, 1.05MB as before" in done.stderr


@pytest.mark.parametrize("tracker", IN_PLACE)
def test_a_file_that_is_mounted_and_unmounted_by_the_command_has_an_event(tree: Path, tracker: str) -> None:
    image = tree / "image"
    image.write_bytes(bytes(8 << 20))
    subprocess.run(["mkfs.ext4", "-q", image], check=True, capture_output=True)
    script = "mkdir ../m; mount -o loop image ../m; echo x >../m/f; umount ../m"
    done = track(tree, "--tracker", tracker, "--audit", script=script, check=False)
    if "failed to setup loop device" in done.stderr:
        pytest.skip("no loop device here")
    assert done.returncode == 0, done.stderr
    assert "M  image  content, 8.39MB as before" in done.stderr


def test_the_upper_directory_of_an_overlay_from_before_is_looked_at(tree: Path) -> None:
    """Whether the kernel tells of the write: Linux 6.1 does not, 6.18 does."""
    for name in ("low", "up", "work", "merged"):
        (tree.parent / name).mkdir()
    (tree / "up").mkdir()
    (tree / "up/f").write_text("before\n")
    options = f"lowerdir={tree.parent}/low,upperdir={tree}/up,workdir={tree}/work"
    (tree / "work").mkdir()
    merged = tree.parent / "merged"
    subprocess.run(["mount", "-t", "overlay", "-o", options, "none", merged], check=True)
    try:
        done = track(tree, "--tracker", "fanotify", "--audit", "--json", script=f"echo more >>{merged}/f")
    finally:
        subprocess.run(["umount", merged], check=True)
    document = json.loads(done.stdout)
    assert {"path": "up", "scope": "subtree"} in document["hints"]
    assert [change["path"] for change in document["changes"]] == ["up/f"]
    assert (
        f"up is written to by the overlay at {merged}, which no event tells of: it was looked at" in document["notes"]
    )
