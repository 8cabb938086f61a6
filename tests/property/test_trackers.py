"""Random programs, step after step, under all trackers armed together once: the layers are equal byte for byte.

Each tracker has a baseline of its own and lives with what it found, as in a build, so an error would be kept. The
scan's changes are judged by the oracle. At the end the base and all layers are unpacked and compared with the rootfs.
"""

import os
import random
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from inotify_simple import INotify

from fswatch_builder import _native as native
from fswatch_builder.changes import oracle
from fswatch_builder.changes.widen import widen
from fswatch_builder.tracking.limits import read_limits
from fswatch_builder.tracking.protocol import Session
from fswatch_builder.tracking.registry import trackers
from fswatch_builder.tracking.strategies.fanotify import FanotifySession
from fswatch_builder.tracking.strategies.inotify import InotifySession
from tests.support import programs
from tests.support.programs import ACTIONS, Helper, Operation

pytestmark = pytest.mark.root

actions = st.sampled_from(sorted(set(ACTIONS) - {"flood"}))
numbers = st.integers(0, 40)
operations = st.tuples(actions, numbers, numbers, st.integers(0, len(programs.NAMES) - 1), st.integers(0, 7))
steps = st.lists(operations, min_size=1, max_size=8)
first_steps = st.lists(operations, max_size=3)
budgets = st.integers(0, 6)


def whole() -> native.HintSet:
    hints = native.HintSet()
    hints.add(b"", "subtree")
    return hints


@dataclass
class Watched:
    """A tracker in force, and the baseline as it knows it."""

    session: Session
    baseline: native.Baseline

    @property
    def is_short(self) -> bool:
        """Whether it lacks watches."""
        return isinstance(self.session, InotifySession) and (self.session.watches.count < self.baseline.directories)


@dataclass
class Layers:
    """Layers as files, and the tree they were taken from."""

    directory: Path
    rootfs: native.Rootfs
    tars: list[Path] = field(default_factory=list)

    def pack(self, baseline: native.Baseline, changes: native.ChangeSet, name: str) -> bytes:
        path = self.directory / name
        with open(path, "wb") as file:
            native.pack_layer(self.rootfs, baseline, changes, file.fileno())
        return path.read_bytes()

    def keep(self, name: str) -> None:
        kept = self.directory / f"{len(self.tars)}.tar"
        os.rename(self.directory / name, kept)
        self.tars.append(kept)

    def unpack(self, name: str) -> tuple[native.Rootfs, native.Baseline]:
        """All of them, one upon the other."""
        root = self.directory / name
        root.mkdir(0o755)
        rootfs = native.Rootfs(os.fsencode(root))
        baseline = native.Baseline.empty(rootfs)
        for tar in self.tars:
            with open(tar, "rb") as file:
                native.unpack_layer(rootfs, baseline, file.fileno())
        return rootfs, baseline


def at_layer_precision(root: bytes) -> dict[bytes, object]:
    """What layers can say: whole seconds, which names share an inode; nothing of the root's own time."""
    seen = oracle.snapshot(root)
    names: dict[object, set[bytes]] = {}
    for path, entry in seen.items():
        names.setdefault(entry.inode or path, set()).add(path)
    return {
        path: (
            *(entry.kind, entry.mode, entry.uid, entry.gid, entry.rdev, entry.target, entry.xattrs, entry.content),
            entry.mtime_ns // 10**9 if path else None,
            frozenset(names[entry.inode or path]),
        )
        for path, entry in seen.items()
    }


def described(changes: native.ChangeSet) -> list[tuple[bytes, str, frozenset[str]]]:
    return [(change.path, change.kind, change.why) for change in changes.changes]


class Machine(RuleBasedStateMachine):
    """One rootfs, several steps."""

    helper: Helper

    @initialize(first=first_steps, budget=budgets)
    def unpack_and_arm(self, first: list[Operation], budget: int) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="fswb-trackers-"))
        source = self.directory / "source"
        source.mkdir(0o755)
        programs.plant(str(source))
        self.show(self.helper.run(str(source), first))
        tree = native.Rootfs(os.fsencode(source))
        base = Layers(self.directory, tree)
        base.pack(native.Baseline.empty(tree), native.Baseline.empty(tree).reconcile(tree, whole()), "base")
        base.keep("base")

        self.rootfs, baseline = base.unpack("rootfs")
        saved = os.fsencode(self.directory / "baseline")
        baseline.save(saved)
        self.layers = Layers(self.directory, self.rootfs, base.tars)
        self.watched: dict[str, Watched] = {}
        for name, tracker in trackers().items():
            own = native.Baseline.open(saved)
            self.watched[name] = Watched(tracker.arm(self.rootfs, own), own)
        own = native.Baseline.open(saved)
        inotify = INotify(nonblocking=True)
        few = native.Watches(inotify.fileno())
        few.arm(self.rootfs, own, budget=budget)
        self.watched[f"inotify with {budget} watches"] = Watched(InotifySession(inotify, few), own)
        own = native.Baseline.open(saved)
        limited = native.FilesystemMark(self.rootfs, own, unlimited=False)
        self.watched["fanotify with a limited queue"] = Watched(FanotifySession(limited, own), own)
        self.state = oracle.snapshot(self.rootfs.path)

    def show(self, log: list[str]) -> None:
        for line in log:
            note(f"    {line}")

    def run(self, program: list[Operation]) -> None:
        self.show(self.helper.run(os.fsdecode(self.rootfs.path), program))

    def finish_run(self, program: list[Operation], *, read_along: bool) -> None:
        if not read_along:
            self.pause()
        self.run(program)
        self.settle_and_judge()
        self.resume()

    @rule(program=steps, read_along=st.booleans())
    def run_a_program(self, program: list[Operation], read_along: bool) -> None:
        self.finish_run(program, read_along=read_along)

    # Rules are drawn evenly; these are what it is about.
    @rule(program=steps)
    def run_another_program(self, program: list[Operation]) -> None:
        self.finish_run(program, read_along=True)

    @rule(one=operations)
    def run_one_operation(self, one: Operation) -> None:
        self.finish_run([one], read_along=True)

    @rule(before=steps, after=steps)
    def run_a_program_that_fills_the_queue(self, before: list[Operation], after: list[Operation]) -> None:
        flood: Operation = ("flood", 0, 0, 0, read_limits().queued_events)
        self.finish_run([*before, flood, *after], read_along=False)

    @rule()
    def run_true(self) -> None:
        self.run([])
        self.settle_and_judge(quiet=True)

    @rule(
        files=st.lists(numbers, min_size=1, max_size=3),
        place=numbers,
        name=st.sampled_from(["", "a", "b/c", "u/", "new/"]),
        mode=st.sampled_from([None, "0640"]),
    )
    def copy(self, files: list[int], place: int, name: str, mode: str | None) -> None:
        source = native.Rootfs(os.fsencode(self.directory / "source"))
        entries = sorted(path for path in oracle.snapshot(source.path) if path)
        chosen = sorted({entries[number % len(entries)] for number in files})
        directories = sorted(path for path, entry in self.state.items() if entry.kind == "directory")
        dest = b"/" + os.path.join(directories[place % len(directories)], os.fsencode(name))
        if len(chosen) > 1 and not dest.endswith(b"/"):
            dest += b"/"
        try:
            copied = native.copy(source, chosen, self.rootfs, dest, owner=(0, 0), mode=mode and native.Mode(mode))
        except (native.RefusedError, OSError) as error:
            note(f"    COPY {chosen} {dest!r}: {error}")
            self.settle_and_judge()
            return
        note(f"    COPY {chosen} {dest!r} wrote {copied.paths}")
        self.advance_listed(copied.paths)

    @rule(place=numbers, owner=st.sampled_from([None, (3, 4)]))
    def add(self, place: int, owner: tuple[int, int] | None) -> None:
        """The base once more, into a directory that is there."""
        directories = sorted(path for path, entry in self.state.items() if entry.kind == "directory")
        dest = b"/" + directories[place % len(directories)]
        try:
            with open(self.layers.tars[0], "rb") as archive:
                added = native.add_archive(self.rootfs, dest, archive.fileno(), owner=owner)
        except (native.ArchiveError, native.RefusedError, OSError) as error:
            note(f"    ADD base.tar {dest!r}: {error}")
            self.settle_and_judge()
            return
        note(f"    ADD base.tar {dest!r} wrote {added.paths}")
        self.advance_listed(added.paths)

    @rule(place=numbers, name=st.sampled_from(["a", "a/b/c", "new/er"]))
    def workdir(self, place: int, name: str) -> None:
        directories = sorted(path for path, entry in self.state.items() if entry.kind == "directory")
        path = b"/" + os.path.join(directories[place % len(directories)], os.fsencode(name))
        try:
            made = self.rootfs.make_directory(path, 7, 8)
        except NotADirectoryError:
            made = []
        note(f"    WORKDIR {path!r} made {made}")
        self.advance_listed(made)

    def pause(self) -> None:
        for watched in self.watched.values():
            if isinstance(watched.session, InotifySession):
                watched.session.watches.pause()
            elif isinstance(watched.session, FanotifySession):
                watched.session.mark.pause()

    def resume(self) -> None:
        for watched in self.watched.values():
            if isinstance(watched.session, InotifySession):
                watched.session.watches.resume()
            elif isinstance(watched.session, FanotifySession):
                watched.session.mark.resume()

    def settle_and_judge(self, *, quiet: bool = False) -> None:
        """The end of a RUN."""
        found = {}
        for name, watched in self.watched.items():
            settled = watched.session.settle()
            if settled.losses:
                note(f"    {name} lost {settled.losses}")
            if quiet and name in ("inotify", "fanotify"):
                assert (settled.hints, settled.losses) == ([], []), "what was accounted for came up again"
            found[name] = watched.baseline.reconcile(self.rootfs, widen(settled)[0])
        now = oracle.snapshot(self.rootfs.path)
        judged = [(change.path, change.kind, change.why) for change in oracle.compare(self.state, now)]
        assert described(found["scan"]) == judged
        if quiet:
            assert judged == []
        self.advance(found)

    def advance_listed(self, listed: list[bytes]) -> None:
        """The end of a step that the builder did itself: its list is authoritative, its events are dropped."""
        hints = native.HintSet()
        for path in listed:
            hints.add(path, "entry")
        found = {
            name: watched.baseline.reconcile(self.rootfs, whole() if name == "scan" else hints, listed)
            for name, watched in self.watched.items()
        }
        assert {change.path for change in found["scan"].changes} >= set(listed)
        self.advance(found)

    def advance(self, found: dict[str, native.ChangeSet]) -> None:
        expected = described(found["scan"])
        layer = self.layers.pack(self.watched["scan"].baseline, found["scan"], "scan")
        for name, changes in found.items():
            assert described(changes) == expected, name
            if name != "scan":
                assert self.layers.pack(self.watched[name].baseline, changes, "other") == layer, name
        if expected:
            self.layers.keep("scan")
        for name, watched in self.watched.items():
            watched.baseline.advance(found[name])
            watched.session.advance(watched.baseline, found[name])
        self.state = oracle.snapshot(self.rootfs.path)

    def teardown(self) -> None:
        try:
            if hasattr(self, "layers"):
                unpacked, _ = self.layers.unpack("unpacked")
                assert at_layer_precision(unpacked.path) == at_layer_precision(self.rootfs.path)
        finally:
            for watched in getattr(self, "watched", {}).values():
                watched.session.close()
            shutil.rmtree(self.directory)


def run(examples: int, number: int, steps_each: int) -> None:
    Machine.helper = Helper()
    try:
        run_state_machine_as_test(
            seed(number)(Machine),
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps_each,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        Machine.helper.close()


def test_every_tracker_gives_the_layers_of_a_scan_step_after_step() -> None:
    run(examples=100, number=random.randrange(2**32), steps_each=6)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_every_tracker_gives_the_layers_of_a_scan_for_long() -> None:
    """SOAK_SEED repeats a run, SOAK_EXAMPLES makes it longer."""
    number = int(os.environ.get("SOAK_SEED") or random.randrange(2**32))
    print(f"SOAK_SEED={number}")
    run(examples=int(os.environ.get("SOAK_EXAMPLES") or 5000), number=number, steps_each=12)
