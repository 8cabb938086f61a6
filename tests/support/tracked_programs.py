"""A random program, step after step, under all trackers at once: the oracle judges the changes, the layers are equal.

All trackers that watch a root file system in place are armed together on one, once, and kept. Each has a baseline of
its own and lives with what it found, as in a build, so an error would be kept. A tracker whose session has a ``rootfs``
of its own is given the same program there, on a base unpacked for it, and judged by what it did there.
"""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from inotify_simple import INotify  # type: ignore[import-untyped]

from fswatch_builder import _native as native
from fswatch_builder.changes import oracle
from fswatch_builder.changes.widen import widen
from fswatch_builder.tracking.protocol import Session, Tracker
from fswatch_builder.tracking.registry import trackers
from fswatch_builder.tracking.strategies.fanotify import FanotifySession
from fswatch_builder.tracking.strategies.inotify import InotifySession
from tests.support.layers import Layers, at_layer_precision, diff_id, whole
from tests.support.programs.processes import Done, Processes
from tests.support.programs.program import Add, Copy, Program, Run, Step, Workdir, first_operations

_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""For baselines that are opened again at once: their fsync costs nothing there."""


@dataclass(frozen=True, slots=True)
class Base:
    """A source of COPYs, and the layer that holds all of it."""

    source: native.Rootfs
    tar: Path


class Bases:
    """Bases by variant, each made once, and the processes that run programs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.processes = Processes()
        self._made: dict[int, Base] = {}

    def get(self, variant: int) -> Base:
        if variant not in self._made:
            source = self.directory / f"source-{variant}"
            source.mkdir(0o755)
            plant(str(source))
            self.processes.run(str(source), str(self.directory / "unused"), first_operations(variant))
            rootfs = native.Rootfs(os.fsencode(source))
            layers = Layers(self.directory / f"base-{variant}")
            layers.directory.mkdir()
            nothing = native.Baseline.empty(rootfs)
            layers.add(rootfs, nothing, nothing.reconcile(rootfs, whole()))
            self._made[variant] = Base(rootfs, layers.tars[0])
        return self._made[variant]

    def close(self) -> None:
        self.processes.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def plant(root: str) -> None:
    """Something of everything, with old times."""
    for path in ("d", "d/e", "d/e/empty", "u"):
        os.mkdir(os.path.join(root, path))
    for path in ("f", "d/f", "d/e/f", "d/e/g", "u/f", "u/h"):
        with open(os.path.join(root, path), "w") as file:
            file.write(path)
    for path, name in (("f", "d/f-too"), ("f", "u/f-too"), ("d/e/g", "u/g-too"), ("u/h", "u/h-too")):
        os.link(os.path.join(root, path), os.path.join(root, name))
    os.symlink("/d/f", os.path.join(root, "s"))
    os.mkfifo(os.path.join(root, "u/p"))
    for directory, _, files in os.walk(root, topdown=False):
        for name in files:
            os.utime(os.path.join(directory, name), (10**9, 10**9), follow_symlinks=False)
        os.utime(directory, (10**9, 10**9))


def described(changes: native.ChangeSet) -> list[tuple[bytes, str, frozenset[str]]]:
    return [(change.path, change.kind, change.why) for change in changes.changes]


@dataclass
class Watched:
    """A tracker in force, and the baseline as it knows it."""

    session: Session
    baseline: native.Baseline
    counts_links: bool = False
    """Whether it is told how many links were made, as a build tells it; not which ones."""

    def pause(self) -> None:
        """Where something reads events during a RUN, it stops."""
        match self.session:
            case InotifySession():
                self.session.watches.pause()
            case FanotifySession():
                self.session.mark.pause()

    def resume(self) -> None:
        match self.session:
            case InotifySession():
                self.session.watches.resume()
            case FanotifySession():
                self.session.mark.resume()


@dataclass
class Place:
    """A root file system, those who watch it, and its layers."""

    rootfs: native.Rootfs
    layers: Layers
    outside: str
    watched: dict[str, Watched]
    state: oracle.Snapshot
    log: list[str]
    layers_of_runs: int = 0
    """How many were compared."""
    widened: set[str] = field(default_factory=set)
    """Reasons of the losses there were."""

    def run(self, processes: Processes, step: Run) -> None:
        if not step.is_read:
            for watched in self.watched.values():
                watched.pause()
        # A merged view has a path by descriptor, which others find by our number.
        root = os.fsdecode(self.rootfs.path).replace("/proc/self/", f"/proc/{os.getpid()}/", 1)
        done = processes.run(root, self.outside, step.operations, at_once=step.at_once, kill=step.kill)
        self.log += [f"    {line}" for line in done.lines]
        self.end_run(done, is_quiet=not step.operations)
        for watched in self.watched.values():
            watched.resume()

    def end_run(self, done: Done, *, is_quiet: bool) -> None:
        settled = {name: watched.session.settle() for name, watched in self.watched.items()}
        now = oracle.snapshot(self.rootfs.path)
        found = {}
        for name, watched in self.watched.items():
            hints = settled[name]
            if is_quiet and name in ("inotify", "fanotify"):
                lost = [loss for loss in hints.losses if loss[0] != "watch-limit"]  # told at every settle
                assert (hints.hints, lost) == ([], []), "what was accounted for came up again"
            links_made = len(done.linked) if watched.counts_links else 0
            if watched.session.needs_link_witness and not watched.counts_links:
                for path in self._witnessed(done, now):
                    hints.add(path, "entry")
            self.widened.update(reason for reason, _ in hints.losses)
            if hints.losses:
                self.log.append(f"    # {name} lost {hints.losses}")
            found[name] = watched.baseline.reconcile(self.rootfs, widen(hints)[0], links_made=links_made)
        judged = [(change.path, change.kind, change.why) for change in oracle.compare(self.state, now)]
        self.advance(found, now, judged)
        self.layers_of_runs += bool(judged)

    def _witnessed(self, done: Done, now: oracle.Snapshot) -> list[bytes]:
        """Names of inodes that were given another name in vain: it is gone.

        No event tells what was written through it (tests/conformance/test_vanished_links.py). In a build the sandbox
        counts calls of link(2), and a doubt leads to a scan; to see what else would be missed, these are told by name.
        """
        linked = set(done.linked)
        before: dict[object, set[bytes]] = {}
        after: dict[object, set[bytes]] = {}
        for names, state in ((before, self.state), (after, now)):
            for path, entry in state.items():
                if entry.inode is not None and entry.inode[1] in linked:
                    names.setdefault(entry.inode, set()).add(path)
        return sorted(path for inode, names in after.items() if names <= before.get(inode, set()) for path in names)

    def end_listed(self, listed: list[bytes]) -> None:
        """The end of a step that the builder did itself: its list is authoritative, its events are dropped."""
        hints = native.HintSet()
        for path in listed:
            hints.add(path, "entry")
        found = {
            name: watched.baseline.reconcile(self.rootfs, whole() if name == "scan" else hints, listed)
            for name, watched in self.watched.items()
        }
        one = described(next(iter(found.values())))
        assert {path for path, _, _ in one} >= set(listed)
        self.advance(found, oracle.snapshot(self.rootfs.path), one)

    def advance(
        self,
        found: Mapping[str, native.ChangeSet],
        now: oracle.Snapshot,
        expected: list[tuple[bytes, str, frozenset[str]]],
    ) -> None:
        kept = None
        for name, changes in found.items():
            seen = described(changes)
            missed, surplus = [it for it in expected if it not in seen], [it for it in seen if it not in expected]
            assert seen == expected, f"{name} misses {missed}, and finds {surplus}"
            baseline = self.watched[name].baseline
            if expected and kept is None:
                kept = self.layers.add(self.rootfs, baseline, changes)
            elif expected:
                assert diff_id(self.rootfs, baseline, changes) == kept, f"{name} makes another layer of equal changes"
        for name, watched in self.watched.items():
            watched.baseline.advance(found[name])
            watched.session.advance(watched.baseline, found[name])
        self.state = now

    def check_unpacking(self) -> None:
        """The base and all layers unpack to what is there."""
        unpacked, _ = self.layers.unpack(self.layers.directory / "unpacked")
        assert at_layer_precision(oracle.snapshot(unpacked.path)) == at_layer_precision(self.state)


class Tracked:
    """One program's build. ``directory`` is empty, and removed with all in it at the end."""

    def __init__(self, bases: Bases, directory: Path, *, variant: int = 0, watches: int = 0) -> None:
        self.bases, self.directory = bases, directory
        self.base = bases.get(variant)
        self.log: list[str] = []
        self.places: list[Place] = []
        layers = Layers(directory, [self.base.tar])
        rootfs, first = layers.unpack(directory / "rootfs")
        with tempfile.NamedTemporaryFile(dir=_MEMORY, prefix="fswb-baseline-") as file:
            saved = os.fsencode(file.name)
            first.save(saved)
            here = Place(rootfs, layers, str(directory / "outside"), {}, oracle.snapshot(rootfs.path), self.log)
            self.places.append(here)
            # A probe may touch the tree, so all come before the first arming.
            usable = {name: tracker for name, tracker in trackers().items() if tracker.probe(rootfs).usable}
            for name, tracker in usable.items():
                if tracker.in_place:
                    baseline = native.Baseline.open(saved)
                    here.watched[name] = Watched(tracker.arm(rootfs, baseline), baseline)
                elif not any(entry.kind == "char-device" and entry.rdev == 0 for entry in here.state.values()):
                    self._watch_elsewhere(name, tracker)
            baseline = native.Baseline.open(saved)
            inotify = INotify(nonblocking=True)
            few = native.Watches(inotify.fileno())
            few.arm(rootfs, baseline, budget=watches)
            here.watched[f"inotify with {watches} watches"] = Watched(
                InotifySession(rootfs, inotify, few), baseline, counts_links=True
            )
            if "fanotify" in here.watched:
                baseline = native.Baseline.open(saved)
                limited = native.FilesystemMark(rootfs, baseline, unlimited=False)
                here.watched["fanotify with a limited queue"] = Watched(
                    FanotifySession(rootfs, limited, baseline), baseline
                )

    def _watch_elsewhere(self, name: str, tracker: Tracker) -> None:
        """Nobody else may write to what an overlay lies on. It refuses a base with a device 0/0."""
        directory = self.directory / name
        directory.mkdir()
        layers = Layers(directory, [self.base.tar])
        rootfs, baseline = layers.unpack(directory / "rootfs")
        session = tracker.arm(rootfs, baseline)
        state = oracle.snapshot(session.rootfs.path)
        outside = str(directory / "outside")
        watched = {name: Watched(session, baseline)}
        self.places.append(Place(session.rootfs, layers, outside, watched, state, self.log))

    def do(self, step: Step) -> None:
        """``AssertionError`` if a tracker differs from the oracle."""
        for place in self.places:
            where = f" # {', '.join(place.watched)}" if len(self.places) > 1 else ""
            match step:
                case Run():
                    how = " at once" * step.at_once + ", nobody reads" * (not step.is_read)
                    self.log.append(f"RUN{how}{where}" if step.operations else f"RUN true{where}")
                    place.run(self.bases.processes, step)
                case Copy():
                    self._copy(place, step)
                case Add():
                    self._add(place, step)
                case Workdir():
                    self._workdir(place, step)

    def _directory(self, place: Place, number: int, name: str) -> bytes:
        directories = sorted(path for path, entry in place.state.items() if entry.kind == "directory")
        return b"/" + os.path.join(directories[number % len(directories)], os.fsencode(name))

    def _copy(self, place: Place, step: Copy) -> None:
        entries = sorted(path for path in oracle.snapshot(self.base.source.path) if path)
        taken = sorted({entries[number % len(entries)] for number in step.files})
        dest = self._directory(place, step.place, step.name)
        if len(taken) > 1 and not dest.endswith(b"/"):
            dest += b"/"
        mode = native.Mode(step.mode) if step.mode else None
        try:
            copied = native.copy(self.base.source, taken, place.rootfs, dest, owner=(0, 0), mode=mode)
        except (native.RefusedError, OSError) as error:
            self.log.append(f"COPY {taken} {dest!r}: {error}")
            place.end_run(Done([], []), is_quiet=False)
            return
        self.log.append(f"COPY {taken} {dest!r} lists {copied.paths}")
        place.end_listed(copied.paths)

    def _add(self, place: Place, step: Add) -> None:
        dest = self._directory(place, step.place, "")
        try:
            with open(self.base.tar, "rb") as archive:
                added = native.add_archive(place.rootfs, dest, archive.fileno(), owner=step.owner)
        except (native.ArchiveError, native.RefusedError, OSError) as error:
            self.log.append(f"ADD base.tar {dest!r}: {error}")
            place.end_run(Done([], []), is_quiet=False)
            return
        self.log.append(f"ADD base.tar {dest!r} lists {added.paths}")
        place.end_listed(added.paths)

    def _workdir(self, place: Place, step: Workdir) -> None:
        path = self._directory(place, step.place, step.name)
        try:
            made = place.rootfs.make_directory(path, 7, 8)
        except NotADirectoryError:
            made = []
        self.log.append(f"WORKDIR {path!r} makes {made}")
        place.end_listed(made)

    def check_unpacking(self) -> None:
        for place in self.places:
            place.check_unpacking()

    def close(self) -> None:
        for place in self.places:
            for watched in place.watched.values():
                watched.session.close()
        native.remove_tree(os.fsencode(self.directory))  # clears the flags that a killed process left set


def play(bases: Bases, directory: Path, program: Program, *, unpack: bool) -> tuple[list[str], int]:
    """The whole program in a new directory. ``DifferenceError`` if a tracker is wrong.

    Returns the names of the trackers, and how many RUNs made a layer that was compared.
    """
    directory.mkdir()
    tracked = Tracked(bases, directory, variant=program.variant, watches=program.watches)
    try:
        for step in program.steps:
            tracked.do(step)
        if unpack:
            tracked.check_unpacking()
        names = sorted(name for place in tracked.places for name in place.watched)
        return names, sum(place.layers_of_runs for place in tracked.places)
    except AssertionError as error:
        raise DifferenceError(program, tracked.log, str(error)) from error
    finally:
        tracked.close()


class DifferenceError(AssertionError):
    """A tracker was wrong, or base and layers do not unpack to the tree."""

    def __init__(self, program: Program, log: list[str], said: str) -> None:
        super().__init__("\n".join([said, "", *log, "", f"program = {program!r}"]))
        self.program, self.said = program, said
