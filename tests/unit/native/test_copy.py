import errno
import os
import socket
import stat
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from fswatch_builder._native import IgnorePatterns, Mode, RefusedError, copy, remove_tree
from tests.unit.native.trees import OLD, Tree

Owner = tuple[int, int]


def test_file_to_a_new_name_keeps_mode_and_time(context: Tree, rootfs: Tree, me: Owner) -> None:
    context.file("f", "text", 0o640)
    copied = copy(context.root, [b"f"], rootfs.root, b"/a/b/g", owner=me)
    assert (copied.paths, copied.files, copied.size, copied.warnings) == ([b"a", b"a/b", b"a/b/g"], 1, 4, [])
    assert rootfs.text("a/b/g") == "text"
    assert rootfs.stat("a/b/g") == (0o640, *me, OLD)
    assert rootfs.stat("a").mode == rootfs.stat("a/b").mode == 0o755


@pytest.mark.parametrize("dest", [b"/d/", b"/d/.", b"/d", b"d"])
def test_file_into_an_existing_directory(context: Tree, rootfs: Tree, me: Owner, dest: bytes) -> None:
    context.file("x/f", "text")
    rootfs.directory("d", 0o1777)
    rootfs.age("d", ".")
    copied = copy(context.root, [b"x/f"], rootfs.root, dest, owner=me)
    assert copied.paths == [b"d/f"]
    assert rootfs.text("d/f") == "text"
    assert rootfs.stat("d").mode == 0o1777  # hazard E14
    assert rootfs.stat("d").mtime_ns == rootfs.stat(".").mtime_ns == OLD  # law of layers 3


def test_a_slash_at_the_end_makes_a_directory(context: Tree, rootfs: Tree, me: Owner) -> None:
    context.file("f")
    assert copy(context.root, [b"f"], rootfs.root, b"/new/", owner=me).paths == [b"new", b"new/f"]


def test_several_sources_without_a_slash_the_last_one_wins(context: Tree, rootfs: Tree, me: Owner) -> None:
    context.file("a", "a")
    context.file("b", "b")
    assert copy(context.root, [b"a", b"b"], rootfs.root, b"/dest", owner=me).paths == [b"dest"]
    assert rootfs.text("dest") == "b"


def test_directory_source_gives_its_contents(context: Tree, rootfs: Tree, me: Owner) -> None:
    context.file("d/f", "text")
    context.file("d/sub/g", "more")
    context.directory("d/sub", 0o700)
    context.directory("d", 0o700)
    context.age("d/sub", "d")
    copied = copy(context.root, [b"d"], rootfs.root, b"/new", owner=me)
    assert copied.paths == [b"new", b"new/f", b"new/sub", b"new/sub/g"]
    assert rootfs.stat("new").mode == 0o755
    assert rootfs.stat("new/sub") == (0o700, *me, OLD)


def test_an_existing_destination_keeps_what_it_has(context: Tree, rootfs: Tree, me: Owner) -> None:  # hazards F3, E14
    context.file("f")
    context.directory(".", 0o700)
    rootfs.directory("tmp", 0o1777)
    rootfs.age("tmp", ".")
    assert copy(context.root, [b""], rootfs.root, b"/tmp", owner=me).paths == [b"tmp/f"]
    assert rootfs.stat("tmp") == (0o1777, os.getuid(), os.getgid(), OLD)
    assert copy(context.root, [b""], rootfs.root, b"/", owner=me).paths == [b"f"]
    assert rootfs.stat(".").mtime_ns == OLD


def test_four_levels_merge(context: Tree, rootfs: Tree, me: Owner) -> None:
    context.file("s/a/b/c/new", "n")
    for name in ("s/a", "s/a/b", "s/a/b/c"):
        context.directory(name, 0o750)
    context.age("s/a/b/c", "s/a/b", "s/a")
    rootfs.file("d/a/b/c/old", "o")
    rootfs.file("d/a/b/side", "s")
    rootfs.age("d/a", "d", mtime_ns=OLD + 5)
    copied = copy(context.root, [b"s"], rootfs.root, b"/d/", owner=me)
    assert copied.paths == [b"d/a", b"d/a/b", b"d/a/b/c", b"d/a/b/c/new"]
    assert rootfs.text("d/a/b/c/old") == "o"
    assert rootfs.text("d/a/b/side") == "s"
    for name in ("d/a", "d/a/b", "d/a/b/c"):
        assert rootfs.stat(name) == (0o750, *me, OLD)
    assert rootfs.stat("d").mtime_ns == OLD + 5


def test_destination_through_a_link(context: Tree, rootfs: Tree, me: Owner) -> None:  # hazards F1, F2, A7
    context.file("f", "text")
    context.file("d/g", "more")
    rootfs.directory("run")
    rootfs.link("var/run", "/run")
    assert copy(context.root, [b"f"], rootfs.root, b"/var/run/f", owner=me).paths == [b"run/f"]
    assert copy(context.root, [b"d"], rootfs.root, b"/var/run/sub", owner=me).paths == [b"run/sub", b"run/sub/g"]
    assert copy(context.root, [b"f"], rootfs.root, b"/var/run", owner=me).paths == [b"run/f"]
    assert (rootfs.path / "var/run").is_symlink()


def test_destination_is_cleaned_before_links_are_followed(context: Tree, rootfs: Tree, me: Owner) -> None:
    context.file("f")
    rootfs.directory("deep/er")
    rootfs.link("l", "/deep/er")
    assert copy(context.root, [b"f"], rootfs.root, b"/l/../f", owner=me).paths == [b"f"]
    assert copy(context.root, [b"f"], rootfs.root, b"/../../g", owner=me).paths == [b"g"]


def test_destination_links_are_clamped(
    context: Tree, rootfs: Tree, me: Owner, tmp_path: Path
) -> None:  # hazards L2, L3
    context.file("f", "text")
    outside = tmp_path / "outside"
    outside.mkdir()
    rootfs.link("out", str(outside))
    rootfs.link("up", "../../../outside")
    copy(context.root, [b"f"], rootfs.root, b"/out/f", owner=me)
    copy(context.root, [b"f"], rootfs.root, b"/up/f", owner=me)
    assert list(outside.iterdir()) == []
    assert rootfs.text("outside/f") == "text"


def test_what_is_in_the_way_is_never_written_through(context: Tree, rootfs: Tree, me: Owner) -> None:  # hazard D9
    context.file("d/f", "new")
    context.link("d/l", "elsewhere")
    rootfs.file("target", "old")
    rootfs.link("d/f", "../target")
    rootfs.link("d/l", "../target")
    other = rootfs.path / "other"
    rootfs.file("hard", "old")
    os.link(rootfs.path / "hard", other)
    copy(context.root, [b"d"], rootfs.root, b"/d", owner=me)
    copy(context.root, [b"d"], rootfs.root, b"/d", owner=me)
    copy(context.root, [b"d/f"], rootfs.root, b"/hard", owner=me)
    assert rootfs.text("target") == "old"
    assert rootfs.text("other") == "old"
    assert rootfs.text("d/f") == "new"
    assert os.readlink(rootfs.path / "d/l") == "elsewhere"


@pytest.mark.root  # a directory that nobody else gets into
def test_link_times_are_the_link_s(context: Tree, rootfs: Tree, me: Owner) -> None:  # hazard E9
    context.file("d/f", mtime_ns=OLD + 9)
    context.link("d/l", "f")
    context.age("d/l")
    copy(context.root, [b"d"], rootfs.root, b"/d", owner=me, mode=Mode("600"))
    assert rootfs.stat("d/l") == (0o777, *me, OLD)
    assert rootfs.stat("d/f") == (0o600, *me, OLD + 9)


def test_source_links_are_followed_in_the_given_path_only(context: Tree, rootfs: Tree, me: Owner) -> None:
    context.file("real/f", "text")
    context.link("real/l", "f")
    context.link("dir", "real")
    context.link("file", "/real/f")
    assert copy(context.root, [b"file"], rootfs.root, b"/", owner=me).paths == [b"file"]
    assert rootfs.text("file") == "text"
    assert not (rootfs.path / "file").is_symlink()
    assert copy(context.root, [b"dir"], rootfs.root, b"/d/", owner=me).paths == [b"d", b"d/f", b"d/l"]
    assert os.readlink(rootfs.path / "d/l") == "f"


def test_source_link_out_of_the_context(context: Tree, rootfs: Tree, me: Owner, tmp_path: Path) -> None:  # hazard L19
    (tmp_path / "host-secret").write_text("secret")
    context.link("l", "../host-secret")
    context.link("d/l", str(tmp_path / "host-secret"))
    with pytest.raises(FileNotFoundError) as failed:
        copy(context.root, [b"l"], rootfs.root, b"/", owner=me)
    assert failed.value.filename == b"l"
    copy(context.root, [b"d"], rootfs.root, b"/", owner=me)
    assert os.readlink(rootfs.path / "l") == str(tmp_path / "host-secret")


def test_directory_over_something_else(context: Tree, rootfs: Tree, me: Owner) -> None:
    context.file("s/x/f")
    rootfs.directory("real")
    for target in (None, "/real"):
        if target is None:
            rootfs.file("d/x")
        else:
            rootfs.link("d/x", target)
        with pytest.raises(RefusedError, match="cannot copy to non-directory") as failed:
            copy(context.root, [b"s"], rootfs.root, b"/d", owner=me)
        assert failed.value.path == b"d/x"
        (rootfs.path / "d/x").unlink()
    rootfs.file("f")
    with pytest.raises(RefusedError, match="cannot copy to non-directory"):
        copy(context.root, [b"s"], rootfs.root, b"/f", owner=me)


def test_file_over_a_directory(context: Tree, rootfs: Tree, me: Owner) -> None:
    context.file("s/x")
    rootfs.file("d/x/kept")
    with pytest.raises(RefusedError, match="cannot overwrite directory"):
        copy(context.root, [b"s"], rootfs.root, b"/d", owner=me)
    assert (rootfs.path / "d/x/kept").exists()


def test_destination_below_a_file(context: Tree, rootfs: Tree, me: Owner) -> None:
    context.file("f")
    rootfs.file("x")
    with pytest.raises(NotADirectoryError):
        copy(context.root, [b"f"], rootfs.root, b"/x/f", owner=me)


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


def test_ignored_is_not_copied_nor_harmed(context: Tree, rootfs: Tree, me: Owner) -> None:  # hazards F13, F15
    for name in (".git/config", "a/.git/config", "a/f", "b/keep/x", "b/drop/x", "c/x", "x"):
        context.file(name)
    context.directory("b", 0o711)
    context.age("b")
    ignore = IgnorePatterns([b"**/.git", b"b", b"!b/keep", b"c", b"!c/nothing", b"x"])
    copied = copy(context.root, [b""], rootfs.root, b"/", owner=me, ignore=ignore)
    assert copied.paths == [b"a", b"a/f", b"b", b"b/keep", b"b/keep/x"]
    assert rootfs.stat("b") == (0o711, *me, OLD)
    assert (context.path / ".git/config").exists()
    assert (context.path / "c/x").exists()


def test_everything_but_one(context: Tree, rootfs: Tree, me: Owner) -> None:  # hazard F14
    context.file("x")
    context.file("y")
    copied = copy(context.root, [b""], rootfs.root, b"/", owner=me, ignore=IgnorePatterns([b"*", b"!./x"]))
    assert copied.paths == [b"x"]


def test_without_patterns_nothing_is_ignored(context: Tree, rootfs: Tree, me: Owner) -> None:  # hazard F16
    context.file(".dockerignore", "*")
    context.file("f")
    assert copy(context.root, [b""], rootfs.root, b"/", owner=me).paths == [b".dockerignore", b"f"]


def test_names_that_are_no_text(context: Tree, rootfs: Tree, me: Owner) -> None:  # hazard E15
    name = os.fsdecode(b"\xff\xfe\n*")
    context.file(f"d/{name}/{name}", "text")
    assert copy(context.root, [b"d"], rootfs.root, b"/\xfd", owner=me).paths[-1] == b"\xfd/\xff\xfe\n*/\xff\xfe\n*"


def test_deep_trees_with_long_names(context: Tree, rootfs: Tree, me: Owner) -> None:  # hazard K13
    levels, name = 400, b"n" * 20
    context.directory("d")
    at = os.open(context.path / "d", os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=at)
        below = os.open(name, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=at))
    os.close(at)
    try:
        copied = copy(context.root, [b"d"], rootfs.root, b"/d", owner=me)
        assert len(copied.paths) == levels + 2
        assert copied.paths[-1].endswith(name + b"/f")
    finally:
        # pytest cannot: rmtree recurses.
        remove_tree(os.fsencode(context.path))
        remove_tree(os.fsencode(rootfs.path))


def test_a_sparse_file_stays_sparse(context: Tree, rootfs: Tree, me: Owner) -> None:  # hazard D8
    with (context.path / "lastlog").open("wb") as file:
        file.truncate(1 << 34)
    copied = copy(context.root, [b"lastlog"], rootfs.root, b"/", owner=me)
    assert copied.size == 1 << 34
    assert (rootfs.path / "lastlog").stat().st_blocks < 1000


def test_a_missing_source_is_an_error(context: Tree, rootfs: Tree, me: Owner) -> None:
    with pytest.raises(FileNotFoundError) as failed:
        copy(context.root, [b"no"], rootfs.root, b"/", owner=me)
    assert failed.value.filename == b"no"


def test_three_identical_copies_list_the_file_each_time(context: Tree, rootfs: Tree, me: Owner) -> None:  # hazard A3
    context.file("f", "text")
    for _ in range(3):
        assert copy(context.root, [b"f"], rootfs.root, b"/a", owner=me).paths == [b"a"]


def test_what_is_included_brings_the_directories_above_it(context: Tree, rootfs: Tree, me: Owner) -> None:
    for name in ("a/b/c.x", "a/b/d.y", "a/e.x", "f.x", "g/h.y"):
        context.file(name)
    context.directory("a/b", 0o700)
    include = IgnorePatterns.one(b"a/**/*.x")
    copied = copy(context.root, [b""], rootfs.root, b"/o", include=include, owner=me)
    assert copied.paths == [b"o", b"o/a", b"o/a/b", b"o/a/b/c.x", b"o/a/e.x"]
    assert copied.led_through == []
    assert rootfs.stat("o/a/b").mode == 0o700


def test_a_directory_that_is_included_is_taken_whole(context: Tree, rootfs: Tree, me: Owner) -> None:
    for name in ("a/b/c", "a/b/d/e", "a/f"):
        context.file(name)
    copied = copy(
        context.root,
        [b"a"],
        rootfs.root,
        b"/",
        include=IgnorePatterns.one(b"b"),
        exclude=IgnorePatterns([b"**/e", b"!b/d"]),
        owner=me,
    )
    assert copied.paths == [b"b", b"b/c", b"b/d"]


def test_patterns_are_relative_to_each_source(context: Tree, rootfs: Tree, me: Owner) -> None:
    for name in ("s/a/x", "s/x", "t/a/x", "t/a/y"):
        context.file(name)
    exclude = IgnorePatterns([b"a/x"])
    assert copy(context.root, [b"s", b"t"], rootfs.root, b"/", exclude=exclude, owner=me).paths == [b"a", b"a/y", b"x"]


def test_an_ignored_file_is_not_included(context: Tree, rootfs: Tree, me: Owner) -> None:
    for name in ("s/a/x", "s/a/y"):
        context.file(name)
    ignore, include = IgnorePatterns([b"s/a/x"]), IgnorePatterns.one(b"a/*")
    assert copy(context.root, [b"s"], rootfs.root, b"/", ignore=ignore, include=include, owner=me).paths == [
        b"a",
        b"a/y",
    ]


def test_what_was_made_to_lead_to_the_destination_is_told(context: Tree, rootfs: Tree, me: Owner) -> None:
    context.file("d/f")
    rootfs.directory("there")
    led = {
        dest: copy(context.root, [source], rootfs.root, dest, owner=me).led_through
        for source, dest in ((b"d/f", b"/1/2/"), (b"d/f", b"/3/f"), (b"d", b"/4/5"), (b"d/f", b"/there/"))
    }
    assert led == {b"/1/2/": [b"1", b"1/2"], b"/3/f": [b"3"], b"/4/5": [b"4"], b"/there/": []}


def test_a_directory_that_turns_into_a_link_while_it_is_copied_leads_nowhere(
    context: Tree, rootfs: Tree, me: Owner, tmp_path: Path
) -> None:  # hazard L19
    """Whatever moment the swap comes at, what is outside is not copied."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f").write_text("secret")
    for number in range(20):
        context.file(f"s/{number}/d/f", "text")
    context.link("trap", str(outside))
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for number in range(20):
                place = context.path / f"s/{number}"
                os.rename(place / "d", place / "aside")
                os.symlink(outside, place / "d")
                os.unlink(place / "d")
                os.rename(place / "aside", place / "d")

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for attempt in range(60):
            with suppress(OSError, RefusedError):  # gone, or a link where a directory was: told, not followed
                copy(context.root, [b"s"], rootfs.root, b"/%d" % attempt, owner=me)
            with suppress(OSError, RefusedError):
                copy(context.root, [b"s/3/d/f"], rootfs.root, b"/f%d" % attempt, owner=me)
    finally:
        stop.set()
        thread.join()
    files = [path for path in rootfs.path.rglob("*") if path.is_file() and not path.is_symlink()]
    assert files
    assert {path.read_text() for path in files} == {"text"}
