import os

import pytest

from tests.unit.native.trees import OLD, Tree


def test_every_missing_level_is_made(rootfs: Tree, me: tuple[int, int]) -> None:
    old_umask = os.umask(0o077)
    try:
        assert rootfs.root.make_directory(b"/srv/app/x", *me) == [b"srv", b"srv/app", b"srv/app/x"]
    finally:
        os.umask(old_umask)
    assert rootfs.stat("srv/app").mode == 0o755
    assert rootfs.root.make_directory(b"/srv/app/x", *me) == []


@pytest.mark.root
def test_all_made_levels_belong_to_the_user(rootfs: Tree) -> None:  # hazard G9
    rootfs.directory("a")
    rootfs.root.make_directory(b"a/b/c", 7, 8)
    assert rootfs.stat("a")[1:3] == (0, 0)
    assert rootfs.stat("a/b")[1:3] == rootfs.stat("a/b/c")[1:3] == (7, 8)


def test_existing_parents_keep_their_time(rootfs: Tree, me: tuple[int, int]) -> None:
    rootfs.directory("a/b")
    rootfs.age("a/b", "a", ".")
    rootfs.root.make_directory(b"/a/b/c/d", *me)
    assert rootfs.stat("a/b").mtime_ns == rootfs.stat("a").mtime_ns == rootfs.stat(".").mtime_ns == OLD


def test_links_lead_on_inside_the_root(rootfs: Tree, me: tuple[int, int]) -> None:
    rootfs.directory("run")
    rootfs.link("var/run", "/run")
    rootfs.link("dangling", "/made/here")
    assert rootfs.root.make_directory(b"/var/run/x", *me) == [b"run/x"]
    assert rootfs.root.make_directory(b"/dangling", *me) == [b"made", b"made/here"]


def test_a_file_in_the_way(rootfs: Tree, me: tuple[int, int]) -> None:
    rootfs.file("f")
    for path in (b"/f", b"/f/x"):
        with pytest.raises(NotADirectoryError):
            rootfs.root.make_directory(path, *me)
