"""Random programs on a small tree: what the core finds is what a plain, evidence-free comparison finds."""

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fswatch_builder._native import Baseline, ChangeSet, HintSet, Rootfs, pack_layer
from fswatch_builder.changes.oracle import OracleChange, Snapshot, compare, snapshot

IS_ROOT = os.geteuid() == 0

names = st.sampled_from([b"a", b"b", b"a-b", b"c\xff"])
paths = st.lists(names, min_size=1, max_size=3).map(b"/".join)
actions = st.sampled_from(
    [
        "create",
        "create",
        "append",
        "rewrite",
        "rewrite-same",
        "rewrite-times-kept",
        "chmod",
        "chown",
        "xattr",
        "touch",
        "times",
        "rename",
        "rename",
        "exchange-by-three",
        "unlink",
        "remove-tree",
        "mkdir",
        "mkdir",
        "symlink",
        "fifo",
        "link",
        "link",
        "copy-over",
        "directory-for-file",
        "file-for-directory",
    ]
)
#: An action, which existing entry it takes, a place for the other one, and a number to play with.
operations = st.tuples(actions, st.integers(0, 40), st.tuples(st.integers(0, 40), names), st.integers(0, 7))
programs = st.lists(operations, max_size=10)
Operation = tuple[str, int, tuple[int, bytes], int]


#: Actions on a path that need not exist yet.
MAKING = {"create", "mkdir", "symlink", "fifo"}

#: Actions that the root does not survive.
REMOVING = {"remove-tree", "file-for-directory"}


@dataclass
class Tree:
    """A root directory, and the places a perfect watcher would name for what is done in it."""

    root: bytes
    hints: HintSet

    def full(self, path: bytes) -> bytes:
        return os.path.join(self.root, path)

    def touch(self, path: bytes, *, subtree: bool = False) -> None:
        self.hints.add(path, "subtree" if subtree else "entry")

    def run(self, program: list[Operation]) -> None:
        for action, index, (place, name), number in program:
            existing = self.existing()
            one = existing[index % len(existing)]
            other = existing[place % len(existing)]
            if os.path.isdir(self.full(other)) and not os.path.islink(self.full(other)):
                other = os.path.join(other, name)
            if action in MAKING:
                one, other = other, one
            elif one == b"" and action in REMOVING:
                continue
            # An operation that is not possible in this tree does nothing, as in a shell script without -e.
            with contextlib.suppress(OSError):
                self.do(action, one, other, number)

    def existing(self) -> list[bytes]:
        found = [b""]
        for directory, directories, files in os.walk(self.root):
            below = os.path.relpath(directory, self.root)
            found += (os.path.normpath(os.path.join(below, name)) for name in directories + files)
        return sorted(found)

    def plant(self) -> None:
        """Something of everything, to begin with."""
        for path in [b"d", b"d/e", b"d/e/empty", b"u"]:
            os.mkdir(self.full(path))
        for path in [b"f", b"d/f", b"d/e/f", b"d/e/g", b"u/f"]:
            with open(self.full(path), "wb") as file:
                file.write(b"content")
        os.link(self.full(b"f"), self.full(b"d/f-again"))
        os.link(self.full(b"f"), self.full(b"u/f-again"))
        os.link(self.full(b"d/e/g"), self.full(b"u/g-again"))
        os.symlink(b"d/f", self.full(b"s"))
        os.mkfifo(self.full(b"u/p"))

    def do(self, action: str, one: bytes, other: bytes, number: int) -> None:
        path = self.full(one)
        match action:
            case "create":
                with open(path, "xb") as file:
                    file.write(b"x" * number)
            case "append":
                self.require_file(path)
                with open(path, "ab") as file:
                    file.write(b"+")
            case "rewrite" | "rewrite-same" | "rewrite-times-kept":
                self.require_file(path)
                status = os.lstat(path)
                with open(path, "r+b") as file:
                    content = file.read() if action == "rewrite-same" else bytes([number]) * status.st_size
                    file.seek(0)
                    file.write(content)
                if action == "rewrite-times-kept":
                    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
            case "chmod":
                if stat.S_ISLNK(os.lstat(path).st_mode):
                    return
                os.chmod(path, 0o700 | number)
            case "chown":
                if not IS_ROOT:
                    return
                os.chown(path, number, number, follow_symlinks=False)
            case "xattr":
                os.setxattr(path, b"user.t", bytes([number]), follow_symlinks=False)
            case "touch":
                os.utime(path, ns=(0, number), follow_symlinks=False)
            case "times":
                now = os.lstat(path)
                os.utime(path, ns=(now.st_atime_ns, now.st_mtime_ns), follow_symlinks=False)
            case "rename":
                directory = stat.S_ISDIR(os.lstat(path).st_mode)
                os.rename(path, self.full(other))
                self.touch(other, subtree=directory)
            case "exchange-by-three":
                self.do("rename", one, b"tmp", number)
                self.do("rename", other, one, number)
                self.do("rename", b"tmp", other, number)
            case "unlink":
                os.unlink(path)
            case "remove-tree":
                self.remove_tree(path)
            case "mkdir":
                os.mkdir(path)
            case "symlink":
                os.symlink(other, path)
            case "fifo":
                os.mkfifo(path)
            case "link":
                os.link(path, self.full(other), follow_symlinks=False)
                self.touch(other)
                # The old name is hinted too. A write through a link which is gone when we look leaves none: that is
                # the business of trackers (conformance/test_vanished_links.py), not of reconcile.
            case "copy-over":
                self.require_file(path)
                self.require_file(self.full(other))
                shutil.copyfile(path, self.full(other))
                self.touch(other)
            case "directory-for-file":
                os.unlink(path)
                os.mkdir(path)
            case "file-for-directory":
                self.remove_tree(path)
                with open(path, "xb"):
                    pass
        self.touch(one)

    @staticmethod
    def remove_tree(path: bytes) -> None:
        # rmtree opens what it is given, and the open of a FIFO waits for a writer.
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            raise NotADirectoryError(path)
        shutil.rmtree(path)

    @staticmethod
    def require_file(path: bytes) -> None:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise IsADirectoryError(path)


@contextlib.contextmanager
def tree() -> Iterator[Tree]:
    root = tempfile.mkdtemp(prefix="fswb-property-").encode()
    try:
        yield Tree(root, HintSet())
    finally:
        shutil.rmtree(root)


def whole() -> HintSet:
    hints = HintSet()
    hints.add(b"", "subtree")
    return hints


def learn(baseline: Baseline, rootfs: Rootfs) -> None:
    """Records the state on disk with all digests (as packing or unpacking a layer does)."""
    baseline.advance(baseline.reconcile(rootfs, whole()))
    baseline.advance(baseline.reconcile(rootfs, whole(), hash="all"))


def advance(baseline: Baseline, rootfs: Rootfs, changes: ChangeSet) -> None:
    """As after a step: packing records the digests of what changed, which a coarse clock makes necessary."""
    with open(os.devnull, "wb") as layer:
        pack_layer(rootfs, baseline, changes, layer.fileno())
    baseline.advance(changes)


def spelled(changes: ChangeSet) -> list[OracleChange]:
    return sorted(OracleChange(change.path, change.kind, change.why) for change in changes.changes)


def by_path(changes: list[OracleChange]) -> list[OracleChange]:
    return sorted(changes, key=lambda change: change.path)


def assert_records(baseline: Baseline, state: Snapshot) -> None:
    assert baseline.paths() == sorted(path for path in state if path)
    assert len(baseline) == len(state) - 1
    assert baseline.directories == sum(entry.kind == "directory" for entry in state.values())
    for path, seen in state.items():
        entry = baseline.entry(path)
        assert entry is not None
        recorded = (entry.kind, entry.mode, entry.uid, entry.gid, entry.rdev, entry.target, entry.xattrs)
        assert recorded == (seen.kind, seen.mode, seen.uid, seen.gid, seen.rdev, seen.target, seen.xattrs)
        if path:
            assert entry.mtime_ns == seen.mtime_ns
        if entry.sha256 is not None and entry.size:
            assert entry.sha256 == seen.content


property_settings = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@property_settings
@given(
    before=programs, after=programs, extra=st.lists(st.tuples(paths, st.sampled_from(["entry", "children", "subtree"])))
)
def test_every_way_of_looking_finds_what_the_oracle_finds(
    before: list[Operation],
    after: list[Operation],
    extra: list[tuple[bytes, str]],
) -> None:
    with tree() as work:
        rootfs = Rootfs(work.root)
        work.plant()
        work.run(before)
        baseline = Baseline.empty(rootfs)
        learn(baseline, rootfs)
        old = snapshot(work.root)
        work.hints = HintSet()
        work.run(after)
        new = snapshot(work.root)
        expected = by_path(compare(old, new))

        assert by_path(spelled(baseline.reconcile(rootfs, whole()))) == expected
        assert by_path(spelled(baseline.reconcile(rootfs, whole(), hash="all", threads=1))) == expected
        assert by_path(spelled(baseline.reconcile(rootfs, work.hints))) == expected
        for path, scope in extra:
            work.hints.add(path, scope)  # type: ignore[arg-type]
        changes = baseline.reconcile(rootfs, work.hints)
        assert by_path(spelled(changes)) == expected

        advance(baseline, rootfs, changes)
        assert_records(baseline, new)
        assert spelled(baseline.reconcile(rootfs, whole())) == []


@property_settings
@given(steps=st.lists(programs, min_size=2, max_size=4), saves=st.sets(st.integers(0, 4)))
def test_step_after_step_a_baseline_stays_what_is_on_disk(steps: list[list[Operation]], saves: set[int]) -> None:
    with tree() as work, tempfile.TemporaryDirectory() as directory:
        file = os.path.join(directory, "baseline").encode()
        rootfs = Rootfs(work.root)
        work.plant()
        baseline = Baseline.empty(rootfs)
        advance(baseline, rootfs, baseline.reconcile(rootfs, whole()))
        for number, step in enumerate(steps):
            work.hints = HintSet()
            work.run(step)
            advance(baseline, rootfs, baseline.reconcile(rootfs, work.hints))
            if number in saves:
                baseline.save(file)
                baseline = Baseline.open(file)
            assert_records(baseline, snapshot(work.root))
        assert spelled(baseline.reconcile(rootfs, whole())) == []


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_number_of_threads_changes_nothing(threads: int) -> None:
    with tree() as work:
        rootfs = Rootfs(work.root)
        baseline = Baseline.empty(rootfs)
        for number in range(300):
            os.makedirs(work.full(b"d%d/e%d" % (number % 7, number)))
            with open(work.full(b"d%d/e%d/f" % (number % 7, number)), "wb") as file:
                file.write(b"%d" % number)
        changes = baseline.reconcile(rootfs, whole(), threads=threads)
        assert by_path(spelled(changes)) == by_path(compare({b"": snapshot(work.root)[b""]}, snapshot(work.root)))
