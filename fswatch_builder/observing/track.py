"""One command, followed: what is below a directory is recorded, the command runs, and what it changed is found.

It is a build's RUN without the sandbox and without the layer: the same trackers, the same comparison. What other
processes change there meanwhile cannot be told from what the command does.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec import Struct

from fswatch_builder._native import Baseline, ChangeSet, HintSet, RefusedError, Rootfs
from fswatch_builder.changes.audit import Evidence, check_baseline, check_changes
from fswatch_builder.changes.oracle import Snapshot, snapshot
from fswatch_builder.changes.widen import widen
from fswatch_builder.errors import AuditError, BuildError, CommandError, TrackingError, UsageError
from fswatch_builder.model.attribution import Attribution
from fswatch_builder.observing.kernel_writers import WrittenByKernel, kernel_writers
from fswatch_builder.observing.mounts import Mount, mounts_below, topmost
from fswatch_builder.runtime.command import Onlooker, run_command
from fswatch_builder.tracking.protocol import AttributingSession, Session
from fswatch_builder.tracking.registry import trackers
from fswatch_builder.tracking.selection import Selection, select, select_attributing

if TYPE_CHECKING:
    from fswatch_builder.model.hash_mode import HashMode

_MAY_READ_ALL = "run it as root, or with --hash none, which reads no file"
_NOT_ALONE = (
    "if nothing but the command changed anything there meanwhile, please report this as a bug, with all these lines"
)


class Recording(Struct, frozen=True):
    """A directory as it was, open. ``directory`` is absolute, without links; ``inode`` its device and number."""

    directory: bytes
    inode: tuple[int, int]
    rootfs: Rootfs
    baseline: Baseline
    hash_mode: "HashMode"
    sockets: frozenset[bytes]
    mounts: tuple[Mount, ...]

    @property
    def entries(self) -> int:
        """How many there are below the directory."""
        return len(self.baseline)


class Tracked(Struct, frozen=True):
    """What a command did below a directory, and what it took to find out.

    ``changes`` are relative to ``recording.baseline``. ``sockets`` are new ones: they are never compared, and no layer
    holds them. ``looked_at`` counts entries. ``seconds`` is the time of the command alone.
    """

    recording: Recording
    argv: tuple[bytes, ...]
    exit_status: int
    seconds: float
    selection: Selection
    hints: HintSet  # widened
    losses: tuple[tuple[str, bytes], ...]
    changes: ChangeSet
    looked_at: int
    sockets: tuple[bytes, ...]
    notes: tuple[str, ...]
    attribution: Attribution | None = None


class Armed(Struct, frozen=True):
    """A tracker in force. ``attributing`` is the session itself, if it records processes."""

    selection: Selection
    session: Session
    attributing: AttributingSession | None = None


def record(directory: str, hash_mode: "HashMode") -> Recording:
    """Records what is below ``directory``. Raises BuildError."""
    # The empty name of an unset variable would be the working directory by realpath alone.
    if not os.path.isdir(directory):
        raise UsageError(f"{directory or 'an empty name'} is not a directory")
    path = os.fsencode(os.path.realpath(directory))
    on, *below = mounts_below(path)
    for mount in (on, *below):
        if not mount.holds_files:
            place = os.path.join(directory, _text(mount.path)) if mount.path else directory
            raise UsageError(
                f"{place} is in a {mount.kind} file system, whose files cannot be compared",
                hint="track a directory that has none at or below it",
            )
    try:
        inode = _inode(path)
        rootfs = Rootfs(path)
        baseline, found = Baseline.record(rootfs, digests=hash_mode != "none")
    except OSError as error:
        raise _unreadable(error, directory) from error
    except RefusedError as error:
        raise _refused(error, "record", directory) from error
    return Recording(path, inode, rootfs, baseline, hash_mode, frozenset(found.sockets), topmost(below))


def arm(recording: Recording, tracker: str) -> Armed:
    """The tracker of that name, in force. To be given to `follow`, which ends it. Raises BuildError."""
    asked = trackers().get(tracker)
    if asked is not None and not asked.in_place:
        # Before it is probed: whether it would work here is beside the point.
        raise TrackingError(
            f"the {tracker} tracker cannot be used: it needs the command to run in a root file system of its own",
            hint="use another one, or --tracker auto",
        )
    selection = select(tracker, recording.rootfs, recording.baseline)
    return Armed(selection, selection.tracker.arm(recording.rootfs, recording.baseline))


def arm_attributing(recording: Recording, tracker: str) -> Armed:
    """As `arm`, and processes are recorded."""
    chosen, selection = select_attributing(tracker, recording.rootfs)
    session = chosen.arm_attributing(recording.rootfs, recording.baseline)
    return Armed(selection, session, attributing=session)


def follow(recording: Recording, armed: Armed, argv: Sequence[bytes], onlooker: Onlooker | None = None) -> Tracked:
    """Runs a command, with our terminal, standard streams and environment. Raises BuildError."""
    selection, session = armed.selection, armed.session
    try:
        written_before = kernel_writers(recording.directory)
        started = time.monotonic()
        outcome = run_command(argv, witness=session.needs_link_witness and _may_witness(), onlooker=onlooker)
        seconds = time.monotonic() - started
        if outcome.problem is not None:
            raise CommandError(outcome.problem, outcome.exit_status)
        hints, losses = widen(_settled(session))
    finally:
        session.close()
    if session.needs_link_witness:
        # It goes by names, and a file may have had one outside all along.
        hints.merge(recording.baseline.linked_elsewhere())
    for mount in recording.mounts:
        hints.add(mount.path, "subtree")
    written = {place.path: place for place in (*written_before, *kernel_writers(recording.directory))}
    for place in written.values():
        hints.add(place.path, place.scope)
    notes = [*_moved(recording), *_mounted(recording), *map(_written, written.values())]
    changes, doubts = _compare(recording, hints, outcome.links_made if session.needs_link_witness else 0)
    who = armed.attributing
    return Tracked(
        recording,
        tuple(argv),
        outcome.exit_status,
        seconds,
        selection,
        hints,
        (*losses, *changes.losses),
        changes,
        changes.stats,
        tuple(sorted(frozenset(changes.sockets) - recording.sockets)),
        (*notes, *doubts),
        None if who is None else who.attribute(recording.baseline, changes),
    )


def _inode(path: bytes) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _moved(recording: Recording) -> Iterator[str]:
    """A word if the path leads somewhere else than it did."""
    try:
        if _inode(recording.directory) == recording.inode:
            return
        now = "another directory is in its place"
    except (FileNotFoundError, NotADirectoryError):
        now = "nothing is in its place"
    what = f"{_text(recording.directory)} was removed, moved or mounted over while the command ran, {now}"
    yield f"{what}: what is told is about the one that was recorded"


def _mounted(recording: Recording) -> Iterator[str]:
    """What there is to know about mounts below, those of before and those of now."""
    now = {mount.path: mount for mount in topmost(mounts_below(recording.directory)[1:])}
    for mount in recording.mounts:
        gone = "" if mount.path in now else ", unmounted meanwhile"
        yield f"{_text(mount.path)} is a mount of its own ({mount.kind}{gone}): everything there was looked at"
    before = {mount.path for mount in recording.mounts}
    for path in sorted(now.keys() - before):
        yield (
            f"{_text(path)} was mounted while the command ran ({now[path].kind}): "
            "what changed in it, or below it before, may be missing"
        )


def _written(place: WrittenByKernel) -> str:
    return f"{_text(place.path) or '.'} {place.what}, which no event tells of: it was looked at"


def _settled(session: Session) -> HintSet:
    try:
        return session.settle()
    except OSError as error:
        raise TrackingError(f"the {session.tracker} tracker failed: {error}") from error


def _may_witness() -> bool:
    """Whether links can be counted at no price for the command: an ordinary user's sudo would lose its power by it.

    The price is then paid by a look at everything.
    """
    return os.geteuid() == 0


def _compare(recording: Recording, hints: HintSet, links_made: int | None) -> tuple[ChangeSet, tuple[str, ...]]:
    """A file that the command made unreadable for its own user still has metadata to compare."""
    rootfs, baseline = recording.rootfs, recording.baseline
    try:
        return baseline.reconcile(rootfs, hints, hash=recording.hash_mode, links_made=links_made), ()
    except PermissionError as error:
        note = f"{_text(error.filename or b'')} may not be read: files that kept their size and time count as unchanged"
        try:
            return baseline.reconcile(rootfs, hints, hash="none", links_made=links_made), (note,)
        except OSError as again:
            raise _unreadable(again, _text(recording.directory)) from again
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            # The kernel lists no directory that was removed, not even as empty.
            for moved in _moved(recording):
                raise BuildError(f"cannot compare: {moved}") from error
        raise _unreadable(error, _text(recording.directory)) from error
    except RefusedError as error:
        raise _refused(error, "compare", _text(recording.directory)) from error


def look(recording: Recording) -> Snapshot:
    """The oracle's view of the directory as it is now. Raises BuildError."""
    try:
        return snapshot(recording.directory)
    except OSError as error:
        raise BuildError(f"the audit cannot read {_text(error.filename or b'')}: {error.strerror or error}") from error


def look_first(recording: Recording) -> Snapshot:
    """The oracle's view before the command, which the recording has to agree with. Raises AuditError."""
    state = look(recording)
    with _others_in_mind():
        check_baseline(recording.baseline, state)
    return state


def look_again(tracked: Tracked, before: Snapshot) -> Snapshot:
    """The oracle's view after the command, which the changes have to agree with. Raises AuditError."""
    for moved in _moved(tracked.recording):
        raise BuildError(f"the audit cannot be made: {moved}")
    state = look(tracked.recording)
    evidence = Evidence(tracked.selection.tracker.name, tracked.hints, tracked.losses)
    with _others_in_mind():
        check_changes(before, state, tracked.changes, evidence)
    return state


@contextmanager
def _others_in_mind() -> Iterator[None]:
    """Unlike a build's, the directory is anybody's."""
    try:
        yield
    except AuditError as error:
        error.hint = _NOT_ALONE
        raise


def _unreadable(error: OSError, directory: str) -> BuildError:
    path = _text(error.filename if isinstance(error.filename, bytes) else os.fsencode(error.filename or ""))
    reason = os.strerror(error.errno) if error.errno else str(error)
    hint = _MAY_READ_ALL if isinstance(error, PermissionError) else None
    return BuildError(f"cannot read {os.path.join(directory, path)}: {reason}", hint=hint)


def _refused(error: RefusedError, what: str, directory: str) -> BuildError:
    """The core's reason says what to do."""
    return BuildError(f"cannot {what} {os.path.join(directory, _text(error.path))}: {error.reason}")


def _text(path: bytes) -> str:
    return os.fsdecode(path)
