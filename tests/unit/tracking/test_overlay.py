import ctypes
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fswatch_builder._native import Baseline, ChangeSet, HintSet, Rootfs, mount_overlay, pack_layer
from fswatch_builder.changes import oracle
from fswatch_builder.errors import TrackingError
from fswatch_builder.tracking.selection import select
from fswatch_builder.tracking.strategies.overlay import OverlaySession, OverlayTracker
from tests.support.hints import baseline_of, covers
from tests.support.overlays import HERE, needs_overlay_tracker

pytestmark = pytest.mark.root


def write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def plant(root: Path) -> None:
    write(root / "etc/passwd", "content\n")
    write(root / "data/a/one", "three names\n")
    os.link(root / "data/a/one", root / "data/two")
    (root / "other").mkdir()
    os.link(root / "data/a/one", root / "other/three")
    for number in range(100):
        write(root / f"usr/lib/{number % 10}/{number}", str(number))


@pytest.fixture(params=["disk", "tmpfs"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    if request.param == "disk":
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        yield Path(memory)


class Tree:
    """A rootfs on an overlay, and its baseline."""

    def __init__(self, place: Path) -> None:
        self.lower = place / "rootfs"
        self.lower.mkdir()
        plant(self.lower)
        rootfs = Rootfs(os.fsencode(self.lower))
        self.baseline, _ = Baseline.record(rootfs)
        self.session = OverlayTracker().arm(rootfs, self.baseline)
        self.state = oracle.snapshot(self.rootfs.path)

    @property
    def rootfs(self) -> Rootfs:
        return self.session.rootfs

    @property
    def root(self) -> Path:
        return Path(os.fsdecode(self.rootfs.path))

    def step(self) -> ChangeSet:
        """The end of a RUN: the hints lead to what the oracle finds."""
        changes = self.baseline.reconcile(self.rootfs, self.session.settle())
        now = oracle.snapshot(self.rootfs.path)
        judged = [(change.path, change.kind, change.why) for change in oracle.compare(self.state, now)]
        assert [(change.path, change.kind, change.why) for change in changes.changes] == judged
        with open(os.devnull, "wb") as sink:
            pack_layer(self.rootfs, self.baseline, changes, sink.fileno())
        self.advance(changes)
        self.state = now
        return changes

    def advance(self, changes: ChangeSet) -> None:
        self.baseline.advance(changes)
        self.session.advance(self.baseline, changes)


@pytest.fixture
def tree(place: Path) -> Tree:
    if not HERE:
        pytest.skip(str(needs_overlay_tracker.kwargs["reason"]))
    return Tree(place)


def paths(changes: ChangeSet) -> list[bytes]:
    return [change.path for change in changes.changes]


def test_the_lower_layer_is_never_written_to(tree: Tree) -> None:
    before = oracle.snapshot(os.fsencode(tree.lower))
    write(tree.root / "etc/passwd", "other\n")
    os.rename(tree.root / "data", tree.root / "moved")
    os.chmod(tree.root, 0o711)
    assert len(tree.step()) > 3
    assert oracle.snapshot(os.fsencode(tree.lower)) == before


@needs_overlay_tracker
def test_the_root_of_the_merged_view_is_that_of_the_rootfs(tmp_path: Path) -> None:
    root = tmp_path / "rootfs"
    root.mkdir()
    os.chmod(root, 0o1751)
    os.chown(root, 12, 34)
    os.setxattr(root, "user.note", b"hello")
    os.utime(root, ns=(1, 1_000_000_007))
    before = oracle.snapshot(os.fsencode(root))
    rootfs = Rootfs(os.fsencode(root))
    session = OverlayTracker().arm(rootfs, Baseline.empty(rootfs))
    assert oracle.snapshot(session.rootfs.path) == before


def test_what_an_earlier_step_made_and_this_one_removed_left_no_trace_and_is_found(tree: Tree) -> None:
    write(tree.root / "etc/new", "x")
    write(tree.root / "etc/d/inner", "x")
    tree.step()
    os.remove(tree.root / "etc/new")
    os.remove(tree.root / "etc/d/inner")
    os.rmdir(tree.root / "etc/d")
    assert {b"etc/new", b"etc/d"} <= set(paths(tree.step()))


def test_a_directory_that_moved_moves_on_and_back_again(tree: Tree) -> None:
    moves = [("data", "moved"), ("moved", "usr/lib/deeper"), ("usr/lib/deeper", "data"), ("data", "etc/data")]
    for number, (old, new) in enumerate(moves):
        os.rename(tree.root / old, tree.root / new)
        write(tree.root / new / f"step{number}", "x")
        assert len(tree.step()) > 2


def test_what_the_builder_writes_between_steps_can_be_gone_after_the_next(tree: Tree) -> None:
    """COPY: no settle before it."""
    write(tree.root / "etc/copied", "x")
    hints = HintSet()
    hints.add(b"etc/copied", "entry")
    tree.advance(tree.baseline.reconcile(tree.rootfs, hints, [b"etc/copied"]))
    os.remove(tree.root / "etc/copied")
    assert covers(tree.session.settle(), b"etc/copied")
    assert b"etc/copied" in paths(tree.baseline.reconcile(tree.rootfs, tree.session.settle()))


def test_d5_links_stay_joined_when_one_name_is_written_and_go_on_when_it_is_gone(tree: Tree) -> None:
    write(tree.root / "data/a/one", "written\n")
    assert {b"data/a/one", b"data/two", b"other/three"} <= set(paths(tree.step()))
    os.remove(tree.root / "data/a/one")
    tree.step()
    # The inode lives on under names that were never copied up.
    write(tree.root / "other/three", "written again\n")
    assert {b"data/two", b"other/three"} <= set(paths(tree.step()))
    os.remove(tree.root / "data/two")
    tree.step()
    os.chmod(tree.root / "other/three", 0o600)
    assert paths(tree.step()) == [b"other/three"]


@pytest.mark.parametrize("first", ["remove", "rename", "write"])
def test_attributes_of_a_name_that_was_never_copied_up_though_its_inode_was(tree: Tree, first: str) -> None:
    """setxattr(2) writes to the inode in the index, and nothing appears in the upper directory under that name."""
    match first:
        case "remove":
            os.remove(tree.root / "data/two")
        case "rename":
            os.rename(tree.root / "data/two", tree.root / "data/moved")
        case "write":
            write(tree.root / "data/two", "written\n")
    tree.step()
    os.setxattr(tree.root / "other/three", "user.note", b"1")
    assert b"other/three" in paths(tree.step())
    os.removexattr(tree.root / "data/a/one", "user.note")
    assert b"other/three" in paths(tree.step())
    assert len(tree.step()) == 0


def test_a_name_is_written_through_and_removed_in_one_step(tree: Tree) -> None:
    write(tree.root / "data/two", "written\n")
    os.remove(tree.root / "data/two")
    assert {b"data/two", b"data/a/one", b"other/three"} <= set(paths(tree.step()))


def test_a20_a_link_made_written_through_and_removed_is_no_hole_here(tree: Tree) -> None:
    """What inotify cannot see: making the link copies the old name up."""
    os.link(tree.root / "etc/passwd", tree.root / "passing")
    write(tree.root / "passing", "CONTENT\n")
    os.remove(tree.root / "passing")
    assert paths(tree.step()) == [b"etc/passwd"]


def test_a_write_by_a_descriptor_whose_name_is_gone_shows_at_the_other_names(tree: Tree) -> None:
    with open(tree.root / "data/two", "a") as file:
        os.rename(tree.root / "data", tree.root / "etc/data")
        os.remove(tree.root / "etc/data/two")
        file.write("by the old descriptor\n")
    assert b"other/three" in paths(tree.step())


@pytest.mark.parametrize("flags", [0, 2])  # RENAME_EXCHANGE
def test_directories_change_places(tree: Tree, flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    new = tree.root / ("other" if flags else "anew")
    for _ in range(3):
        assert libc.renameat2(-100, os.fsencode(tree.root / "data"), -100, os.fsencode(new), flags) == 0
        tree.step()
        assert libc.renameat2(-100, os.fsencode(new), -100, os.fsencode(tree.root / "data"), flags) == 0
        tree.step()


@needs_overlay_tracker
def test_a_copied_up_file_of_the_same_size_and_times_never_passes_for_the_lower_one(tmp_path: Path) -> None:
    """It is another inode under the same number, written right after the lower one."""
    for round_ in range(40):
        root = tmp_path / f"{round_}/rootfs"
        root.mkdir(parents=True)
        rootfs = Rootfs(os.fsencode(root))
        write(root / "f", "before")
        baseline = baseline_of(rootfs)
        session = OverlayTracker().arm(rootfs, baseline)
        merged = os.fsdecode(session.rootfs.path) + "/f"
        times = os.stat(merged)
        with open(merged, "r+") as file:
            file.write("AFTER!")
        os.utime(merged, ns=(times.st_atime_ns, times.st_mtime_ns))
        changes = baseline.reconcile(session.rootfs, session.settle())
        assert paths(changes) == [b"f"], f"round {round_}"


def test_a_step_costs_what_the_stage_changed_and_not_the_tree(tree: Tree) -> None:
    """A copied-up directory is the recorded one, so nothing below it is looked at for its sake."""
    os.chmod(tree.root / "usr/lib", 0o711)
    write(tree.root / "usr/lib/3/3", "written\n")
    hints = tree.session.settle()
    assert sorted(hints.hints) == [
        (b"", "entry"),
        (b"usr", "entry"),
        (b"usr/lib", "entry"),
        (b"usr/lib/3", "entry"),
        (b"usr/lib/3/3", "entry"),
    ]
    changes = tree.step()
    assert paths(changes) == [b"usr/lib", b"usr/lib/3/3"]
    assert (changes.stats, changes.listings) == (5, 0)
    again = tree.step()
    # On tmpfs stat proves nothing of a file.
    assert (len(again), again.stats, again.hashed_files) == (0, 5, int(tree.lower.is_relative_to("/dev/shm")))


def test_thousands_of_names_in_one_directory_are_one_hint(tree: Tree) -> None:
    for number in range(5000):
        (tree.root / f"etc/{number}").touch()
    write(tree.root / "etc/d/f", "x")
    hints = tree.session.settle()
    assert len(hints) < 10
    assert covers(hints, b"etc/4999")
    assert len(tree.step()) == 5003
    for number in range(1, 5000):
        os.remove(tree.root / f"etc/{number}")
    assert len(tree.step()) == 5000


def test_the_rootfs_outlives_its_session_and_can_be_armed_again(tree: Tree) -> None:
    write(tree.root / "etc/passwd", "written\n")
    tree.step()
    tree.session.close()
    write(tree.root / "etc/between", "x")
    hints = HintSet()
    hints.add(b"etc", "subtree")
    tree.baseline.advance(tree.baseline.reconcile(tree.rootfs, hints))
    tree.state = oracle.snapshot(tree.rootfs.path)
    chosen = select("overlay", tree.rootfs, tree.baseline)
    again = chosen.tracker.arm(tree.rootfs, tree.baseline)
    assert isinstance(again, OverlaySession)
    assert again.rootfs is tree.rootfs
    tree.session = again
    os.remove(tree.root / "etc/between")
    write(tree.root / "etc/passwd", "once more\n")
    assert {b"etc/between", b"etc/passwd"} <= set(paths(tree.step()))


def test_an_overlay_is_refused_as_upper_layer_with_the_reason(tree: Tree) -> None:
    (tree.root / "nested/rootfs").mkdir(parents=True)
    rootfs = Rootfs(os.fsencode(tree.root / "nested/rootfs"))
    with pytest.raises(TrackingError, match=r"not supported as upperdir.*Invalid argument"):
        select("overlay", rootfs, Baseline.empty(rootfs))
    assert os.listdir(tree.root / "nested") == ["rootfs"]


def test_layers_on_two_file_systems_are_refused(tmp_path: Path) -> None:
    root = Rootfs(os.fsencode(tmp_path))
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory, pytest.raises(OSError, match="cross-device") as caught:
        mount_overlay(root, os.fsencode(memory))
    assert caught.value.filename == os.fsencode(memory)


@needs_overlay_tracker
def test_an_image_with_a_0_0_device_is_refused_since_overlayfs_would_hide_it(tmp_path: Path) -> None:
    root = tmp_path / "rootfs"
    (root / "dev").mkdir(parents=True)
    os.mknod(root / "dev/odd", 0o020644, os.makedev(0, 0))
    rootfs = Rootfs(os.fsencode(root))
    baseline = baseline_of(rootfs)
    with pytest.raises(TrackingError, match="a character device 0/0"):
        OverlayTracker().arm(rootfs, baseline)
    assert os.listdir(tmp_path) == ["rootfs"]


def test_a_probe_leaves_nothing(tmp_path: Path) -> None:
    """And says which kernel it takes, where this one is too old."""
    (tmp_path / "rootfs").mkdir()
    capability = OverlayTracker().probe(Rootfs(os.fsencode(tmp_path / "rootfs")))
    assert capability.usable == HERE, capability.reason
    if HERE:
        assert "0/0" in capability.blind_spots[0]
    else:
        assert "cannot clone a mount that is mounted nowhere (Linux 6.15 can)" in capability.reason
    assert os.listdir(tmp_path) == ["rootfs"]


def test_no_process_sees_the_mount_and_it_is_gone_with_the_last_holder(tree: Tree) -> None:
    with open("/proc/self/mountinfo", "rb") as table:
        assert os.fsencode(tree.lower.parent) not in table.read()
    inside = os.fsencode(tree.root / "etc/passwd")
    assert os.path.exists(inside)
    del tree.session
    assert not os.path.exists(inside)
