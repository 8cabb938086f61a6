"""What is a change, rule by rule, and the hazards on the way to finding it."""

import os
import resource
import shutil
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fswatch_builder._native import Baseline, ChangeSet, HintSet, RefusedError, Rootfs, is_multigrain


class Tree:
    """A root directory with a recorded baseline."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rootfs = Rootfs(os.fsencode(path))
        self.baseline = Baseline.empty(self.rootfs)

    def record(self) -> None:
        """Records what is there, digests included."""
        self.baseline.advance(self.look((b"", "subtree")))
        self.baseline.advance(self.look((b"", "subtree"), hash="all"))

    def record_metadata(self) -> None:
        """Records what is there, as far as it can be known without listing directories."""
        self.baseline.advance(self.look((b"d", "entry")))

    def look(self, *places: tuple[bytes, str], listed: list[bytes] | None = None, hash: str = "evidence") -> ChangeSet:  # noqa: A002
        hints = HintSet()
        for path, scope in places:
            hints.add(path, scope)  # type: ignore[arg-type]
        return self.baseline.reconcile(self.rootfs, hints, listed or [], hash=hash)  # type: ignore[arg-type]

    def found(self, *places: tuple[bytes, str], listed: list[bytes] | None = None) -> dict[bytes, tuple[str, set[str]]]:
        return found(self.look(*places, listed=listed))


def found(changes: ChangeSet) -> dict[bytes, tuple[str, set[str]]]:
    return {change.path: (change.kind, set(change.why)) for change in changes.changes}


ROOT = (b"", "subtree")


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    root = tmp_path / "rootfs"
    root.mkdir()
    (root / "d").mkdir()
    (root / "d" / "f").write_bytes(b"content")
    (root / "f").write_bytes(b"content")
    made = Tree(root)
    made.record()
    return made


def keep_mtime(path: Path, change: Callable[[], object]) -> None:
    before = path.stat()
    change()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def wait_for_the_next_tick(directory: Path) -> None:
    """Returns once the clock of the file system has moved on."""
    marker = directory / "marker"
    marker.touch()
    first = marker.stat().st_ctime_ns
    while marker.stat().st_ctime_ns == first:
        marker.touch()


def test_nothing_touched_is_no_change(tree: Tree) -> None:
    changes = tree.look(ROOT)
    assert len(changes) == 0
    assert changes.hashed_files == 0


def test_equal_bytes_with_restored_times_are_no_change_and_cost_one_hash_once(tree: Tree) -> None:
    keep_mtime(tree.path / "f", lambda: (tree.path / "f").write_bytes(b"content"))
    changes = tree.look((b"f", "entry"))
    assert len(changes) == 0
    assert changes.hashed_files == 1
    tree.baseline.advance(changes)
    if not is_multigrain(os.fsencode(tree.path)):
        # Within the tick of the write a stat proves nothing: it is read once more when that is over.
        wait_for_the_next_tick(tree.path.parent)
        tree.baseline.advance(tree.look((b"f", "entry")))
    assert tree.look((b"", "subtree")).hashed_files == 0


def test_a_file_that_a_hint_names_itself_is_read_whatever_its_stat_says(tree: Tree) -> None:
    """There are calls that exchange what files hold and move no stamp: tests/kernel/operations_on_files.py."""
    changes = tree.look((b"f", "entry"))
    assert (len(changes), changes.hashed_files) == (0, 1)
    assert tree.look((b"f", "entry"), hash="none").hashed_files == 0


def test_other_bytes_of_equal_size_with_restored_times_are_a_change(tree: Tree) -> None:
    keep_mtime(tree.path / "f", lambda: (tree.path / "f").write_bytes(b"CONTENT"))
    assert tree.found((b"f", "entry")) == {b"f": ("modified", {"content"})}


def test_the_lossy_mode_does_not_see_it_and_the_paranoid_one_reads_everything(tree: Tree) -> None:
    keep_mtime(tree.path / "f", lambda: (tree.path / "f").write_bytes(b"CONTENT"))
    assert len(tree.look(ROOT, hash="none")) == 0
    changes = tree.look(ROOT, hash="all")
    assert found(changes) == {b"f": ("modified", {"content"})}
    assert changes.hashed_files == 2


def test_equal_bytes_with_a_new_mtime_are_a_change(tree: Tree) -> None:
    os.utime(tree.path / "f", ns=(5, 5))
    assert tree.found((b"f", "entry")) == {b"f": ("modified", {"mtime"})}


def test_the_root_changes_by_mode_and_owner_only(tree: Tree) -> None:
    os.utime(tree.path, ns=(5, 5))
    assert tree.found(ROOT) == {}
    tree.path.chmod(0o711)
    assert tree.found((b"f", "entry")) == {b"": ("modified", {"mode"})}


def test_away_and_back_leaves_only_times_of_directories(tree: Tree) -> None:
    os.rename(tree.path / "d" / "f", tree.path / "x")
    os.rename(tree.path / "x", tree.path / "d" / "f")
    assert tree.found((b"d/f", "entry"), (b"x", "entry")) == {b"d": ("modified", {"mtime"})}


def test_only_the_topmost_missing_path_is_deleted(tree: Tree) -> None:
    shutil.rmtree(tree.path / "d")
    assert tree.found((b"d/f", "entry")) == {b"d": ("deleted", set())}
    assert tree.found(ROOT) == {b"d": ("deleted", set())}


def test_nothing_is_deleted_below_a_replaced_directory(tree: Tree) -> None:
    shutil.rmtree(tree.path / "d")
    os.symlink("/etc", tree.path / "d")
    for places in [ROOT], [(b"d/f", "entry"), (b"d", "children")]:
        assert tree.found(*places) == {b"d": ("replaced", set())}


def test_a_new_directory_is_looked_at_whole(tree: Tree) -> None:
    (tree.path / "n" / "m").mkdir(parents=True)
    (tree.path / "n" / "m" / "f").write_bytes(b"")
    expected: dict[bytes, tuple[str, set[str]]] = {path: ("added", set()) for path in [b"n", b"n/m", b"n/m/f"]}
    assert tree.found((b"n", "entry")) == expected
    assert tree.found((b"n/m/other", "entry")) == expected


def test_a_directory_made_anew_under_its_name_is_looked_at_whole(tree: Tree) -> None:
    shutil.rmtree(tree.path / "d")
    (tree.path / "d").mkdir()
    (tree.path / "d" / "g").write_bytes(b"")
    assert tree.found((b"d", "entry")) == {
        b"d": ("modified", {"mtime"}),
        b"d/f": ("deleted", set()),
        b"d/g": ("added", set()),
    }


def test_a_socket_is_reported_and_is_no_entry(tree: Tree) -> None:
    (tree.path / "f").unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fsencode(tree.path / "f"))
    changes = tree.look(ROOT)
    assert found(changes) == {b"f": ("deleted", set())}
    assert changes.sockets == [b"f"]


def test_a_new_name_lists_the_group_though_its_old_name_was_no_hint(tree: Tree) -> None:
    os.link(tree.path / "d" / "f", tree.path / "n")
    changes = tree.look((b"n", "entry"))
    assert found(changes) == {b"n": ("added", set()), b"d/f": ("modified", {"links"})}
    # The old name was in the baseline: no need to search the disk.
    assert changes.losses == []


def test_a_lost_name_is_only_a_whiteout(tree: Tree) -> None:
    os.link(tree.path / "f", tree.path / "g")
    tree.record()
    (tree.path / "f").unlink()
    assert tree.found((b"f", "entry")) == {b"f": ("deleted", set())}


def test_a_name_split_off_is_listed_even_with_equal_bytes(tree: Tree) -> None:
    os.link(tree.path / "f", tree.path / "g")
    tree.record()
    shutil.copy2(tree.path / "g", tree.path / "x")
    os.rename(tree.path / "x", tree.path / "g")
    assert tree.found((b"g", "entry")) == {b"g": ("modified", {"links"})}


def test_of_a_split_group_the_unchanged_part_stays_unlisted(tree: Tree) -> None:
    os.link(tree.path / "f", tree.path / "g")
    tree.record()
    (tree.path / "f").unlink()
    (tree.path / "f").write_bytes(b"another")
    assert tree.found((b"f", "entry")) == {b"f": ("modified", {"content", "mtime", "links"})}


def test_a_write_through_one_name_lists_all(tree: Tree) -> None:
    os.link(tree.path / "f", tree.path / "d" / "g")
    tree.record()
    (tree.path / "f").write_bytes(b"new")
    both = ("modified", {"content", "mtime"})
    assert tree.found((b"f", "entry")) == {b"f": both, b"d/g": both}


def test_a_write_through_a_name_that_vanished_with_its_directory_lists_the_others(tree: Tree) -> None:
    os.link(tree.path / "f", tree.path / "d" / "g")
    tree.record()
    (tree.path / "d" / "g").write_bytes(b"new")
    shutil.rmtree(tree.path / "d")
    expected = {b"d": ("deleted", set()), b"f": ("modified", {"content", "mtime"})}
    assert tree.found((b"d", "entry")) == expected


def test_a_name_nobody_knows_is_searched_for_once_and_told(tree: Tree) -> None:
    (tree.path / "x").write_bytes(b"")
    os.link(tree.path / "x", tree.path / "y")
    changes = tree.look((b"x", "entry"))
    assert found(changes) == {b"x": ("added", set()), b"y": ("added", set())}
    assert changes.losses == [("missing-links", b"")]


def test_listed_paths_are_there_with_all_their_names(tree: Tree) -> None:
    os.link(tree.path / "f", tree.path / "g")
    tree.record()
    assert tree.found(listed=[b"f", b"d"]) == {
        b"d": ("modified", {"listed"}),
        b"f": ("modified", {"listed"}),
        b"g": ("modified", {"listed"}),
    }


def test_a_listed_path_that_is_missing_is_refused(tree: Tree) -> None:
    for missing in [b"no", b"no/such", b"f/below"]:
        with pytest.raises(RefusedError):
            tree.look(listed=[missing])


def test_an_unknown_digest_makes_a_touched_file_a_changed_one(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"content")
    tree = Tree(tmp_path)
    tree.baseline.advance(tree.look(ROOT))
    os.chmod(tmp_path / "f", stat.S_IMODE((tmp_path / "f").stat().st_mode))
    assert tree.found((b"f", "entry")) == {b"f": ("modified", {"content"})}


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """400 levels of long names: far beyond PATH_MAX, more levels than descriptors."""
    here = os.open(".", os.O_RDONLY)
    os.chdir(tmp_path)
    for _ in range(400):
        os.mkdir("n" * 100)
        os.chdir("n" * 100)
        Path("f").write_bytes(b"")
    os.fchdir(here)
    os.close(here)
    yield tmp_path
    here = os.open(tmp_path, os.O_RDONLY)
    shutil.rmtree("n" * 100, dir_fd=here)
    os.close(here)


def test_a_tree_deeper_than_any_path_takes_few_descriptors(deep: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Whatever ran here before may hold some.
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 340, hard))
    try:
        tree = Tree(deep)
        changes = tree.look(ROOT)
        assert len(changes) == 800
        tree.baseline.advance(changes)
        assert len(tree.look(ROOT)) == 0
        bottom = b"/".join([b"n" * 100] * 400)
        assert tree.look((bottom + b"/f", "entry")).listings == 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_an_unreadable_directory_is_an_error_not_a_deletion(tree: Tree) -> None:
    (tree.path / "d").chmod(0)
    tree.record_metadata()
    own = os.geteuid()
    if own == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(PermissionError) as error:
            tree.look(ROOT)
    finally:
        os.seteuid(own)
        (tree.path / "d").chmod(0o700)
    assert error.value.filename == b"d"
    assert error.value.operation == "openat2"  # type: ignore[attr-defined]


def test_a_saved_baseline_says_the_same(tree: Tree, tmp_path: Path) -> None:
    file = os.fsencode(tmp_path / "baseline")
    tree.baseline.save(file)
    assert Baseline.open(file).paths() == [b"d", b"d/f", b"f"]
    tree.baseline = Baseline.open(file)
    assert len(tree.look(ROOT)) == 0
    (tmp_path / "baseline").write_bytes(b"rubbish")
    with pytest.raises(RefusedError):
        Baseline.open(file)


def test_the_clock_is_probed_without_a_trace(tmp_path: Path) -> None:
    assert is_multigrain(os.fsencode(tmp_path)) in {True, False}
    assert list(tmp_path.iterdir()) == []


def test_a_copy_over_one_of_two_names_lists_only_what_it_brought(tree: Tree) -> None:
    os.link(tree.path / "f", tree.path / "g")
    tree.record()
    before = (tree.path / "f").stat()
    # As COPY does: the name gets an inode of its own, here with equal bytes and times.
    (tree.path / "f").unlink()
    (tree.path / "f").write_bytes(b"content")
    os.utime(tree.path / "f", ns=(before.st_mtime_ns, before.st_mtime_ns))
    assert tree.found(listed=[b"f"]).keys() - {b""} == {b"f"}


def test_reading_every_file_leaves_nothing_behind_where_all_is_as_it_was(tree: Tree) -> None:
    changes = tree.look(ROOT, hash="all")
    assert changes.hashed_files == 2
    assert len(changes) == 0
    tree.baseline.advance(changes)
    assert tree.look(ROOT).hashed_files == 0
