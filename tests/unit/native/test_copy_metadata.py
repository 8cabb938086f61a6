"""What a copied entry is: owner, mode, attributes, links, kinds of files."""

import errno
import os
import socket
import stat

import pytest

from fswatch_builder._native import Mode, copy
from tests.unit.native.trees import OLD, Tree

Owner = tuple[int, int]


def test_linked_files_stay_linked(context: Tree, rootfs: Tree, me: Owner) -> None:  # hazard D1
    context.file("d/a", "text")
    context.directory("d/s")
    os.link(context.path / "d/a", context.path / "d/s/b")
    os.link(context.path / "d/a", context.path / "outside")
    for _ in range(2):
        copied = copy(context.root, [b"d"], rootfs.root, b"/d", owner=me)
    assert (copied.files, copied.size) == (2, 4)
    assert (rootfs.path / "d/a").stat().st_ino == (rootfs.path / "d/s/b").stat().st_ino
    assert (rootfs.path / "d/a").stat().st_nlink == 2


def test_a_link_to_a_file_that_a_later_source_replaced(context: Tree, rootfs: Tree, me: Owner) -> None:
    context.file("1/f", "first")
    context.file("2/f", "second")
    context.directory("3")
    os.link(context.path / "1/f", context.path / "3/g")
    copy(context.root, [b"1", b"2", b"3"], rootfs.root, b"/d/", owner=me)
    assert (rootfs.text("d/f"), rootfs.text("d/g")) == ("second", "first")


def test_the_same_linked_file_twice(context: Tree, rootfs: Tree, me: Owner) -> None:
    context.file("f", "text")
    os.link(context.path / "f", context.path / "g")
    assert copy(context.root, [b"f", b"f"], rootfs.root, b"/d/", owner=me).paths == [b"d", b"d/f"]
    assert rootfs.text("d/f") == "text"


@pytest.mark.parametrize(
    ("mode", "directory", "file", "parent"),
    [
        pytest.param("0", 0, 0, 0, marks=pytest.mark.root),  # nobody else gets into such a directory
        ("2750", 0o2750, 0o2750, 0o2750),
        ("u=rwX,go=rX", 0o755, 0o644, 0o755),
        ("a+X,u+s", 0o4711, 0o4600, 0o755),
    ],
)
def test_chmod(  # hazard F5
    context: Tree, rootfs: Tree, me: Owner, mode: str, directory: int, file: int, parent: int
) -> None:
    context.file("d/s/f", mode=0o600)
    context.directory("d/s", 0o700)
    copied = copy(context.root, [b"d"], rootfs.root, b"/new/parent", owner=me, mode=Mode(mode))
    assert copied.paths[:2] == [b"new", b"new/parent"]
    modes = []
    for name in ("new", "new/parent", "new/parent/s", "new/parent/s/f"):
        modes.append(rootfs.stat(name).mode)
        (rootfs.path / name).chmod(0o700)
    assert modes == [parent, parent, directory, file]


@pytest.mark.parametrize("text", ["8", "10000", "7z", "u+q", "", "rw"])
def test_bad_chmod(text: str) -> None:
    with pytest.raises(ValueError, match="invalid chmod parameter"):
        Mode(text)


@pytest.mark.root
def test_chown_covers_made_parents_and_nothing_else(context: Tree, rootfs: Tree) -> None:  # hazard F4
    context.file("d/s/f")
    context.link("d/s/l", "f")
    os.chown(context.path / "d/s/f", 1234, 1234)
    rootfs.directory("old")
    copy(context.root, [b"d"], rootfs.root, b"/old/new/deep", owner=(7, 8))
    assert rootfs.stat("old")[1:3] == (0, 0)
    for name in ("old/new", "old/new/deep", "old/new/deep/s", "old/new/deep/s/f", "old/new/deep/s/l"):
        assert rootfs.stat(name)[1:3] == (7, 8)


@pytest.mark.root
def test_stage_keeps_ids_set_id_bits_and_capabilities(context: Tree, rootfs: Tree) -> None:  # hazards E1, E2, E4
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    context.file("d/s/ping")
    os.chown(context.path / "d/s/ping", 5, 6)
    os.chown(context.path / "d/s", 9, 9)
    (context.path / "d/s/ping").chmod(0o4755)
    os.setxattr(context.path / "d/s/ping", "security.capability", capability)
    os.setxattr(context.path / "d/s", "user.note", b"dir")
    copy(context.root, [b"d"], rootfs.root, b"/new", context=False)
    assert rootfs.stat("new")[:3] == (0o755, 0, 0)
    assert rootfs.stat("new/s")[1:3] == (9, 9)
    assert rootfs.stat("new/s/ping")[:3] == (0o4755, 5, 6)
    assert os.getxattr(rootfs.path / "new/s/ping", "security.capability") == capability
    assert os.getxattr(rootfs.path / "new/s", "user.note") == b"dir"


def test_chmod_wins_over_an_acl(context: Tree, rootfs: Tree, me: Owner) -> None:  # hazard E5
    entries = [
        (0x01, 6, 0xFFFFFFFF),
        (0x02, 7, 12345),
        (0x04, 4, 0xFFFFFFFF),
        (0x10, 7, 0xFFFFFFFF),
        (0x20, 4, 0xFFFFFFFF),
    ]
    acl = (2).to_bytes(4, "little") + b"".join(
        tag.to_bytes(2, "little") + bits.to_bytes(2, "little") + who.to_bytes(4, "little") for tag, bits, who in entries
    )
    source = context.file("f", mode=0o664)
    try:
        os.setxattr(source, "system.posix_acl_access", acl)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        pytest.skip("this file system has no ACLs")
    copy(context.root, [b"f"], rootfs.root, b"/f", owner=me, mode=Mode("600"))
    assert rootfs.stat("f").mode == 0o600


def test_user_attributes_are_kept(context: Tree, rootfs: Tree, me: Owner) -> None:
    os.setxattr(context.file("f"), "user.note", b"\x00\xff")
    copy(context.root, [b"f"], rootfs.root, b"/f", owner=me)
    assert os.getxattr(rootfs.path / "f", "user.note") == b"\x00\xff"


def test_a_fifo_is_made_not_read(context: Tree, rootfs: Tree, me: Owner) -> None:  # hazard D6
    context.directory("d")
    os.mkfifo(context.path / "d/pipe", 0o620)
    (context.path / "d/pipe").chmod(0o620)
    context.age("d/pipe")
    for path, dest in ((b"d", b"/d"), (b"d/pipe", b"/d/other")):
        copy(context.root, [path], rootfs.root, dest, owner=me)
    for name in ("d/pipe", "d/other"):
        assert stat.S_ISFIFO((rootfs.path / name).lstat().st_mode)
        assert rootfs.stat(name) == (0o620, *me, OLD)


@pytest.mark.root
@pytest.mark.parametrize("is_context", [True, False])
def test_devices(context: Tree, rootfs: Tree, is_context: bool) -> None:  # hazard D6
    context.directory("d")
    os.mknod(context.path / "d/zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    copied = copy(context.root, [b"d"], rootfs.root, b"/d", owner=(0, 0), context=is_context)
    if is_context:
        assert copied.warnings == ["d/zero: a device, skipped"]
        assert copied.paths == [b"d"]
    else:
        assert (rootfs.path / "d/zero").lstat().st_rdev == os.makedev(1, 5)


@pytest.mark.parametrize("is_context", [True, False])
def test_sockets(context: Tree, rootfs: Tree, me: Owner, is_context: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    context.directory("d")
    monkeypatch.chdir(context.path / "d")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
    copied = copy(context.root, [b"d"], rootfs.root, b"/d", owner=me, context=is_context)
    if is_context:
        assert copied.warnings == ["d/s: a socket, copied as an empty file"]
        assert rootfs.text("d/s") == ""
        assert copied.paths == [b"d", b"d/s"]
    else:
        assert copied.warnings == ["d/s: a socket, skipped"]
        assert copied.paths == [b"d"]


def test_a_sparse_file_stays_sparse(context: Tree, rootfs: Tree, me: Owner) -> None:  # hazard D8
    with (context.path / "lastlog").open("wb") as file:
        file.truncate(1 << 34)
    copied = copy(context.root, [b"lastlog"], rootfs.root, b"/", owner=me)
    assert copied.size == 1 << 34
    assert (rootfs.path / "lastlog").stat().st_blocks < 1000
