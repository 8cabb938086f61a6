"""What is known of the files of a context is known of one file system, for as long as it stays mounted."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fswatch_builder._native import KnownContents, Rootfs, content
from tests.support.filesystems import device, mounted, placed, rewrite

pytestmark = pytest.mark.root

SIZE = 4096


def learned(context: Path, saved: Path) -> int:
    """How many files a build reads, with what the one before it has saved."""
    root = Rootfs(os.fsencode(context))
    known = KnownContents(root, os.fsencode(saved) if saved.exists() else None)
    content(root, [b""], owners=False, known=known)
    if known.learned:
        saved.unlink(missing_ok=True)
        known.save(os.fsencode(saved))
    return known.learned


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
def test_what_is_mounted_next_on_the_device_is_read(kind: str, tmp_path: Path) -> None:
    """Somebody writes to the image, or goes back to a snapshot of it: every stat is as it was, and so is the device."""
    saved = tmp_path / "saved"
    options = "nodatacow" if kind == "btrfs" else ""  # no checksums: what is written beside the file system can be read
    with device(kind, tmp_path) as disk:
        with placed(disk, tmp_path / "point", options) as point:
            path = point / "f"
            path.write_bytes(b"a" * SIZE)
            assert learned(point, saved) == 1
            assert learned(point, saved) == 0
            before = path.stat()
        rewrite(disk, b"a" * SIZE, b"b" * SIZE)
        with placed(disk, tmp_path / "point", options) as point:
            now = path.stat()
            fields = ("st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")
            assert [getattr(now, name) for name in fields] == [getattr(before, name) for name in fields]
            assert path.read_bytes() == b"b" * SIZE
            assert learned(point, saved) == 1


def test_a_copy_of_the_file_system_below_the_context_is_read(tmp_path: Path) -> None:
    """It has the inode numbers and the times; the device tells."""
    for name in ("own", "copied", "point"):
        (tmp_path / name).mkdir()
    with device("ext4", tmp_path / "own") as disk, device("ext4", tmp_path / "copied") as copy:
        with placed(disk, tmp_path / "point") as point:
            (point / "there").mkdir()
            (point / "f").write_bytes(b"a" * SIZE)
        copy.write_bytes(disk.read_bytes())
        rewrite(copy, b"a" * SIZE, b"b" * SIZE)
        with placed(disk, tmp_path / "point") as point, placed(copy, point / "there"):
            root = Rootfs(os.fsencode(point))
            known = KnownContents(root)
            digests = [content(root, [b""], owners=False, known=one).digest for one in (known, known, None)]
            assert len(set(digests)) == 1
            assert known.learned == 1
            del root


def test_another_subvolume_in_its_place_is_read(tmp_path: Path) -> None:
    """Going back to a snapshot: it has the inode numbers and the times, and gets the device number that was free."""
    with mounted("btrfs", tmp_path) as point:
        context = point / "context"
        subprocess.run(["btrfs", "-q", "subvolume", "create", context], check=True)
        (context / "f").write_bytes(b"a" * SIZE)
        subprocess.run(["btrfs", "-q", "subvolume", "snapshot", context, point / "snapshot"], check=True)
        assert learned(context, tmp_path / "saved") == 1
        subprocess.run(["btrfs", "-q", "subvolume", "delete", "--commit-after", context], check=True)
        subprocess.run(["btrfs", "-q", "subvolume", "sync", point], check=True)
        subprocess.run(["btrfs", "-q", "subvolume", "snapshot", point / "snapshot", context], check=True)
        assert learned(context, tmp_path / "saved") == 1


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
def test_a_file_system_that_is_mounted_twice_is_one(kind: str, tmp_path: Path) -> None:
    with mounted(kind, tmp_path) as point:
        (point / "f").write_text("content")
        assert learned(point, tmp_path / "saved") == 1
        other = tmp_path / "other"
        other.mkdir()
        subprocess.run(["mount", "--bind", point, other], check=True)
        try:
            assert learned(other, tmp_path / "saved") == 0
        finally:
            subprocess.run(["umount", other], check=True)


HIDDEN = {
    "another boot": "mount --bind {file} /proc/sys/kernel/random/boot_id",
    "no /sys": "mount -t tmpfs none /sys",
}


@pytest.mark.parametrize("hide", HIDDEN.values(), ids=HIDDEN)
def test_where_the_kernel_does_not_say_which_file_system_it_is_all_is_read(hide: str, tmp_path: Path) -> None:
    script = "import sys; from pathlib import Path; from tests.unit.native.test_known_file_systems import learned;"
    script += "print(learned(Path(sys.argv[1]), Path(sys.argv[2])))"
    (tmp_path / "boot").write_text("another\n")
    with mounted("xfs", tmp_path) as point:
        (point / "f").write_text("content")
        assert learned(point, tmp_path / "saved") == 1
        assert learned(point, tmp_path / "saved") == 0
        command = f'{hide.format(file=tmp_path / "boot")} && exec "$0" -c "$@"'
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", command, sys.executable, script, point, tmp_path / "saved"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        expected = "1\n" if "boot_id" in hide else "0\n"
        assert (done.stdout, done.stderr) == (expected, "")
