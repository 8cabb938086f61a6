"""Of a base that stays unpacked nothing is believed that was touched, or that a power cut may have lost."""

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fswatch_builder.oci.keeping.kept import Kind
from fswatch_builder.oci.store import Store
from tests.support.builds import Workshop
from tests.support.cli import fswatch_builder
from tests.support.filesystems import mounted
from tests.support.kept import EPOCH, FROM_EARLIER, kept_notes, key, leftovers, of_another_boot, trees
from tests.support.overlays import needs_overlay_tracker

pytestmark = [pytest.mark.root, needs_overlay_tracker]


def rewrite(root: Path) -> None:
    """The same size, the same times."""
    before = os.stat(root / "etc/group")
    (root / "etc/group").write_text((root / "etc/group").read_text().replace("app", "APP"))
    os.utime(root / "etc/group", ns=(before.st_atime_ns, before.st_mtime_ns))


def add(root: Path) -> None:
    before = os.stat(root / "etc")
    (root / "etc/new").write_text("x")
    os.utime(root / "etc", ns=(before.st_atime_ns, before.st_mtime_ns))


def damage(root: Path) -> None:
    path = root.parent / "baseline"
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)


def replace_by_a_file(root: Path) -> None:
    shutil.rmtree(root)
    root.write_text("x")


TAMPERED: dict[str, tuple[Callable[[Path], object], str]] = {
    "rewritten with its times restored": (rewrite, "in 1 place, such as /etc/group"),
    "added": (add, "such as /etc/new"),
    "a socket": (lambda root: os.mknod(root / "etc/s", stat.S_IFSOCK | 0o600), "such as /etc"),
    "removed": (lambda root: os.remove(root / "etc/group"), "in 2 places, such as /etc"),
    "mode": (lambda root: os.chmod(root / "etc/group", 0o666), "such as /etc/group"),
    "mode of the root": (lambda root: os.chmod(root, 0o700), "such as /"),
    "attribute": (lambda root: os.setxattr(root / "bin", "user.x", b"1"), "such as /bin"),
    "damaged record": (damage, "baseline: "),
    "no record": (lambda root: os.remove(root.parent / "baseline"), "baseline is missing"),
    "no tree": (shutil.rmtree, "rootfs is missing"),
    "a file in its place": (replace_by_a_file, "rootfs is missing"),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_a_tree_that_was_touched_is_dropped_and_it_is_said(workshop: Workshop, how: str) -> None:
    lines = "FROM base\nRUN echo x >>/etc/group\n"
    first = workshop.build(lines, build_args=EPOCH)
    (tree,) = trees(workshop.store)
    tamper, told = TAMPERED[how]
    tamper(tree / "rootfs")
    second = workshop.build(lines, use_cache=False, build_args=EPOCH)
    assert second.built.manifest == first.built.manifest
    (note,) = kept_notes(second)
    assert note.startswith("the base kept from an earlier build is unpacked anew: ")
    assert told in note
    assert trees(workshop.store) == [tree]
    third = workshop.build(lines, use_cache=False, build_args=EPOCH)
    assert third.built.manifest == first.built.manifest
    assert kept_notes(third) == [FROM_EARLIER]
    assert leftovers(workshop.store) == []  # what was dropped stayed for who might have used it


def test_prune_verify_reads_what_is_kept_and_drops_what_was_touched(workshop: Workshop) -> None:
    workshop.build("FROM base\nRUN echo x >>/etc/group\n")
    whole = fswatch_builder("prune", "--verify", f"--store={workshop.store}")
    assert "all whole" in whole.stdout
    (tree,) = trees(workshop.store)
    rewrite(tree / "rootfs")
    found = fswatch_builder("prune", "--verify", f"--store={workshop.store}", check=False)
    assert found.returncode == 10
    assert "in 1 place, such as /etc/group" in found.stderr
    assert trees(workshop.store) == []


@pytest.mark.parametrize("place", ["kept", "kept/tree"])
def test_where_others_may_write_nothing_is_believed_or_kept(workshop: Workshop, place: str) -> None:
    lines = "FROM base\nRUN echo x >/x\n"
    first = workshop.build(lines, build_args=EPOCH)
    os.chmod(workshop.store / place, 0o777)
    second = workshop.build(lines, use_cache=False, build_args=EPOCH)
    assert second.built.manifest == first.built.manifest
    assert kept_notes(second) == []
    os.chmod(workshop.store / place, 0o700)
    os.chown(workshop.store / place, 1000, 1000)
    assert kept_notes(workshop.build(lines, use_cache=False)) == []
    os.chown(workshop.store / place, 0, 0)
    assert kept_notes(workshop.build(lines, use_cache=False)) == [FROM_EARLIER]


def test_after_a_boot_every_byte_is_read_once(workshop: Workshop, tmp_path: Path) -> None:
    """A power cut may leave files whose metadata is there and whose bytes are not. Here they are wiped below the file
    system.
    """
    lines = "FROM base\nRUN cat /etc/group\n"
    with mounted("ext4", tmp_path) as point:
        first = workshop.build(lines, store=point / "store")
        (tree,) = trees(point / "store")
        group = tree / "rootfs/etc/group"
        os.sync()
        blocks = subprocess.run(["filefrag", "-v", group], capture_output=True, text=True, check=True).stdout
        block = int(re.findall(r"^\s+0:\s+\d+\.\.\s+\d+:\s+(\d+)\.\.", blocks, re.MULTILINE)[0])
        size = int(re.findall(r"blocks? of (\d+) bytes", blocks)[0])
        subprocess.run(["umount", point], check=True)
        try:
            with open(tmp_path / "ext4.image", "r+b") as file:
                file.seek(block * size)
                assert file.read(4) == b"root"
                file.seek(block * size)
                file.write(b"\0" * size)
        finally:
            subprocess.run(["mount", "-o", "loop", tmp_path / "ext4.image", point], check=True)
        second = workshop.build(lines, store=point / "store", use_cache=False)
        assert kept_notes(second) == [FROM_EARLIER]  # as the evidence says: the test can fail
        assert "root" not in second.recorder.printed()
        of_another_boot(point / "store")
        third = workshop.build(lines, store=point / "store", use_cache=False)
        assert "such as /etc/group" in kept_notes(third)[0]
        # Before it, what the step said on the wiped tree, if it came to that.
        assert third.recorder.printed().endswith(first.recorder.printed())


def test_after_a_boot_a_whole_tree_is_believed_again(workshop: Workshop) -> None:
    lines = "FROM base\nRUN echo x >/x\n"
    workshop.build(lines)
    of_another_boot(workshop.store)
    with Store.open(str(workshop.store)) as store, store.kept.use(Kind.TREE, key(workshop.store)) as found:
        assert not found.of_this_boot
    assert kept_notes(workshop.build(lines, use_cache=False)) == [FROM_EARLIER]
    with Store.open(str(workshop.store)) as store, store.kept.use(Kind.TREE, key(workshop.store)) as found:
        assert found.of_this_boot
