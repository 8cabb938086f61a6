"""Our layer of a scripted change beside those of umoci and buildah: every difference, and why."""

import hashlib
import os
import stat
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fswatch_builder import _native as native
from fswatch_builder.build.bases import bases
from fswatch_builder.model.image import Descriptor
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci import media_types
from fswatch_builder.oci.compression import decompressed
from fswatch_builder.oci.output import NamedImage, write_directory
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.store import Store
from tests.support.layers import whole
from tests.support.others import BASE, Change, buildah_layer, umoci_layer
from tests.support.registry import need

pytestmark = pytest.mark.root

Described = dict[str, object]
#: cap_net_raw, permitted and effective (linux/capability.h, struct vfs_cap_data).
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)
BEFORE, AFTER = 1_000_000_000, 1_100_000_000


def base_tree(root: Path) -> None:
    """A file or directory for each thing that will be done."""
    for name in ("d", "d/kept", "gone", "gone/deep", "file-now", "link-now", "remade", "moved", "touched", "sticky"):
        (root / name).mkdir(parents=True)
    for name in (
        *("content", "same", "mode", "owner", "xattr", "removed", "d/f", "d/kept/f", "gone/deep/f", "file-now/f"),
        *("link-now/f", "remade/old", "moved/f", "directory-now", "time", "one", "three", "half"),
    ):
        (root / name).write_text(f"{name}\n")
    (root / "l").symlink_to("content")
    os.link(root / "one", root / "d/two")
    os.link(root / "three", root / "d/four")
    os.link(root / "half", root / "d/whole")
    settle(root, BEFORE)


def change(root: Path) -> None:
    """Everything that a layer can say."""
    (root / "content").write_text("other\n")
    (root / "same").write_text("same\n")
    os.chmod(root / "mode", 0o4711)
    os.chown(root / "owner", 1000, 70_000_000)
    os.setxattr(root / "xattr", "user.note", b"\x00\xff")
    os.setxattr(root / "xattr", "security.capability", CAPABILITY)
    (root / "removed").unlink()
    remove(root / "gone")
    remove(root / "file-now")
    (root / "file-now").write_text("file\n")
    remove(root / "link-now")
    (root / "link-now").symlink_to("d")
    remove(root / "remade")
    (root / "remade").mkdir()
    (root / "remade/new").write_text("new\n")
    (root / "directory-now").unlink()
    (root / "directory-now").mkdir()
    (root / "moved").rename(root / "d/moved")
    (root / "l").unlink()
    (root / "l").symlink_to("mode")
    os.link(root / "one", root / "another")
    (root / "three").write_text("all names\n")
    (root / "d/whole").unlink()
    (root / ("n" * 101)).write_text("long\n")
    (root / os.fsdecode(b"\xff")).write_text("not UTF-8\n")
    os.mkfifo(root / "fifo")
    os.mknod(root / "device", stat.S_IFCHR | 0o620, os.makedev(5, 300))
    with open(root / "sparse", "wb") as file:
        file.truncate(1 << 20)
    os.chmod(root / "sticky", 0o1777)
    settle(root, AFTER)
    for name in ("same", "d/kept", "d/kept/f"):
        os.utime(root / name, (BEFORE, BEFORE))


def remove(path: Path) -> None:
    for child in path.iterdir():
        remove(child) if child.is_dir() else child.unlink()
    path.rmdir()


def settle(root: Path, seconds: int) -> None:
    """All times become this one, but for what has an older one already that is not the base's."""
    for directory, directories, files in os.walk(root, topdown=False):
        for name in (*files, *directories):
            os.utime(os.path.join(directory, name), (seconds, seconds), follow_symlinks=False)
    os.utime(root, (seconds, seconds))


def describe(tar: Path) -> dict[str, Described]:
    """What a layer says of each path."""
    found: dict[str, Described] = {}
    with (
        decompressed(str(tar)) as descriptor,
        open(descriptor, "rb", closefd=False) as file,
        tarfile.open(fileobj=file, mode="r|") as opened,
    ):
        for member in opened:
            content = opened.extractfile(member) if member.isreg() else None
            found[member.name.removeprefix("./").rstrip("/") or "."] = {
                "type": member.type,
                "mode": stat.S_IMODE(member.mode),  # buildah adds the bits of the kind, as docker does: read by nobody
                "owner": (member.uid, member.gid),
                "mtime": int(member.mtime),
                "link": member.linkname,
                "device": (member.devmajor, member.devminor) if member.ischr() else None,
                "xattrs": {k: v for k, v in member.pax_headers.items() if k.startswith("SCHILY.xattr.")},
                "content": None if content is None else hashlib.sha256(content.read()).hexdigest(),
            }
    return found


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """An OCI layout with the base in it."""
    tree = tmp_path / "tree"
    tree.mkdir()
    base_tree(tree)
    with Store.open(str(tmp_path / "store")) as store:
        digest = bases(str(tree), store, Platform.host())
        manifest = Descriptor(media_types.OCI_MANIFEST, digest, store.size(digest))
        names = (Reference.parse(f"x:{BASE}"),)
        write_directory(store, [NamedImage(manifest, names)], "oci", str(tmp_path / "layout"))
    return tmp_path / "layout"


def our_layer(layout: Path, change: Change, work: Path) -> Path:
    root = work / "ours"
    root.mkdir()
    base_tree(root)
    rootfs = native.Rootfs(os.fsencode(root))
    baseline, _ = native.Baseline.record(rootfs)
    change(root)
    changes = baseline.reconcile(rootfs, whole())
    with open(work / "ours.tar", "wb") as file:
        native.pack_layer(rootfs, baseline, changes, file.fileno())
    return work / "ours.tar"


def differences(ours: dict[str, Described], theirs: dict[str, Described]) -> dict[str, str]:
    found = dict.fromkeys(ours.keys() - theirs.keys(), "only ours")
    found |= dict.fromkeys(theirs.keys() - ours.keys(), "only theirs")
    for path in ours.keys() & theirs.keys():
        fields = [name for name in ours[path] if ours[path][name] != theirs[path][name]]
        if fields:
            found[path] = ", ".join(fields)
    return found


Maker = Callable[[Path, Change, Path], Path]
Difference = tuple[str, str]
"""What differs, and why."""

_ROOT = ("only theirs", "the time of the root directory alone is no change of ours: every layer would have one")
_BELOW = ("only theirs", "below what is no directory any more nothing needs hiding, and some readers fail on it (C1)")
_TIME_OF_NOW = ("mtime", "a whiteout has no time; the hour of the build would make each build another layer")
_TIME_ALONE = ("only ours", "a directory of which the time alone changed is a change: touch and rsync mean it (B8)")

EXPECTED: dict[str, tuple[Maker, dict[str, Difference]]] = {
    "umoci": (umoci_layer, {".": _ROOT, "file-now/.wh.f": _BELOW, "link-now/.wh.f": _BELOW}),
    "buildah": (
        buildah_layer,
        {
            "touched": _TIME_ALONE,
            **dict.fromkeys((".wh.gone", ".wh.moved", ".wh.removed", "d/.wh.whole", "remade/.wh.old"), _TIME_OF_NOW),
        },
    ),
}


@pytest.mark.parametrize("tool", EXPECTED)
def test_every_difference_from_another_tools_layer_has_its_reason(layout: Path, tmp_path: Path, tool: str) -> None:
    need(tool)
    make, expected = EXPECTED[tool]
    ours = describe(our_layer(layout, change, tmp_path))
    theirs = describe(make(layout, change, tmp_path))
    assert differences(ours, theirs) == {path: what for path, (what, _reason) in expected.items()}
