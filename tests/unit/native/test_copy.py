"""Where a copy puts what it takes: names, links on the way, what is there already."""

import os
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from fswatch_builder._native import Mode, RefusedError, copy, remove_tree
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


def test_a_missing_source_is_an_error(context: Tree, rootfs: Tree, me: Owner) -> None:
    with pytest.raises(FileNotFoundError) as failed:
        copy(context.root, [b"no"], rootfs.root, b"/", owner=me)
    assert failed.value.filename == b"no"


def test_three_identical_copies_list_the_file_each_time(context: Tree, rootfs: Tree, me: Owner) -> None:  # hazard A3
    context.file("f", "text")
    for _ in range(3):
        assert copy(context.root, [b"f"], rootfs.root, b"/a", owner=me).paths == [b"a"]


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
