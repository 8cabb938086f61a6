"""File systems of a test's own: mounted below a directory, gone afterwards, noticed by nobody else."""

import errno
import mmap
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from select import select
from time import monotonic

import pytest

#: In memory: what to mount is the kind itself.
_IN_MEMORY = {"tmpfs": "mode=0755", "ramfs": "mode=0755"}

#: On an image, sparse: the smallest size that mkfs takes with room to spare, and how it is made.
_ON_AN_IMAGE = {
    "ext2": (32 << 20, ["-q"]),
    "ext4": (64 << 20, ["-q"]),
    "xfs": (320 << 20, ["-q"]),
    "btrfs": (160 << 20, ["-q"]),
}


@contextmanager
def mounted(kind: str, directory: Path, options: str = "", *, mkfs: tuple[str, ...] = ()) -> Iterator[Path]:
    """A new file system of ``kind``, mounted; one on an image is made with the arguments ``mkfs``. The test is skipped,
    with the reason, if this host has none such.
    """
    point = directory / kind
    point.mkdir()
    if kind in _IN_MEMORY:
        source, options = kind, ",".join(filter(None, (_IN_MEMORY[kind], options)))
    else:
        source, options = str(_image(kind, directory, mkfs)), ",".join(filter(None, ("loop", options)))
    done = subprocess.run(
        ["mount", "-t", kind, "-o", options, source, point], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"no {kind} can be mounted here: {done.stderr.strip().splitlines()[0]}")
    try:
        yield point
    finally:
        # A loop device that `mount` made goes with the mount.
        if not _unmounted(point):
            subprocess.run(["umount", "--lazy", point], check=True)
            raise AssertionError(f"a test left something open on {kind}")


@contextmanager
def device(kind: str, directory: Path) -> Iterator[Path]:
    """A new file system of ``kind`` on a loop device, for `placed`: one that stays, with its number, when that ends."""
    image = _image(kind, directory, ())
    done = subprocess.run(["losetup", "--find", "--show", image], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no loop device here: {done.stderr.strip()}")
    try:
        yield Path(done.stdout.strip())
    finally:
        subprocess.run(["losetup", "--detach", done.stdout.strip()], check=True)


@contextmanager
def placed(device: Path, point: Path, options: str = "") -> Iterator[Path]:
    """The file system of a device, mounted at ``point``; in the end nowhere."""
    point.mkdir(exist_ok=True)
    subprocess.run(["mount", *(["-o", options] if options else []), device, point], check=True)
    try:
        yield point
    finally:
        subprocess.run(["umount", point], check=True)
        _wait_until_free(device)


def _wait_until_free(device: Path) -> None:
    """A sandbox that another test began meanwhile has our mounts, too, until it has taken leave of them."""
    deadline = monotonic() + 10
    while True:
        try:
            os.close(os.open(device, os.O_RDONLY | os.O_EXCL))  # open(2): EBUSY as long as it is mounted anywhere
            return
        except OSError as error:
            if error.errno != errno.EBUSY or monotonic() > deadline:
                raise
        select([], [], [], 0.05)


def rewrite(device: Path, before: bytes, after: bytes) -> None:
    """Changes what the blocks of a device hold, which is not mounted."""
    with open(device, "r+b") as file, mmap.mmap(file.fileno(), file.seek(0, os.SEEK_END)) as mapped:
        at = mapped.find(before)
        mapped[at : at + len(before)] = after


def _unmounted(point: Path) -> bool:
    """The kernel takes down an io_uring, and what it holds, behind its last process: nobody tells when that is done."""
    deadline = monotonic() + 10
    while subprocess.run(["umount", point], check=False).returncode != 0:
        if monotonic() > deadline:
            return False
        select([], [], [], 0.05)
    return True


def _image(kind: str, directory: Path, more: tuple[str, ...]) -> Path:
    size, arguments = _ON_AN_IMAGE[kind]
    mkfs = shutil.which(f"mkfs.{kind}", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if mkfs is None:
        pytest.skip(f"no mkfs.{kind} here")
    image = directory / f"{kind}.image"
    with open(image, "wb") as file:
        file.truncate(size)
    subprocess.run([mkfs, *arguments, *more, image], check=True, capture_output=True)
    return image
