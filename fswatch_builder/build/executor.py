"""Doing a step on a rootfs: RUN, COPY, ADD and WORKDIR, each in its way; and keeping what came of it, which is the same
for all: reconcile, layer, new baseline.
"""

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from fswatch_builder._native import HintSet, Mount, Rootfs
from fswatch_builder.build.audit import Audit
from fswatch_builder.build.events import Events, StepNote, StepOutput, StepReport
from fswatch_builder.build.mounting import Mounting, Prepared
from fswatch_builder.build.placing import place
from fswatch_builder.build.sources import Sources
from fswatch_builder.build.stopwatch import Stopwatch
from fswatch_builder.build.worksite import Armed, Worksite
from fswatch_builder.changes.audit import Evidence
from fswatch_builder.changes.widen import widen
from fswatch_builder.errors import DockerfileError, RunError
from fswatch_builder.layering.writer import write_layer
from fswatch_builder.model.image import Layer
from fswatch_builder.model.step import Action, CopyAction, DirectoryAction, RunAction
from fswatch_builder.oci.compression import Compression
from fswatch_builder.oci.store import Store
from fswatch_builder.runtime import host
from fswatch_builder.runtime.run import Command, Stream, run
from fswatch_builder.runtime.user import resolve_owner, resolve_user

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fswatch_builder.model.hash_mode import HashMode
    from fswatch_builder.model.platform import Platform
    from fswatch_builder.runtime.emulation import Emulation


class Work(Struct, frozen=True):
    """What a step did to a root file system, of which nothing is kept yet: where to look, by whose word (``tracker``;
    its ``losses`` are hints already), and what is in the layer anyway.
    """

    hints: HintSet
    watch: Stopwatch
    listed: Sequence[bytes] = ()
    tracker: str | None = None
    losses: Sequence[tuple[str, bytes]] = ()
    links_made: int | None = 0


class Performed(Struct, frozen=True):
    """A step that was done. ``layer`` is None if nothing changed and nothing was listed."""

    layer: Layer | None
    report: StepReport


class Output:
    """Where a RUN's output goes: into the stream of events, with the time since the RUN began."""

    def __init__(self, events: Events, number: int) -> None:
        """Starts the clock."""
        self._events = events
        self._number = number
        self._started = time.monotonic()

    def write(self, stream: Stream, data: bytes) -> None:
        """One piece, as it came."""
        self._events.emit(StepOutput(self._number, stream, data, time.monotonic() - self._started))


class Executor(Struct, frozen=True):
    """Does the steps of a stage. ``max_mtime`` (seconds) bounds the times in layers; ``hash_mode`` says what reconcile
    reads; an ``audit`` has to agree with each step.
    """

    store: Store
    sources: Sources
    mounting: Mounting
    events: Events
    hash_mode: "HashMode"
    compression: Compression
    max_mtime: int | None
    explained: set[tuple[str, ...]]  # reasons for a tracker that were told already, by any stage
    emulations: "Mapping[Platform, Emulation]"  # for RUNs of other machines
    audit: Audit | None = None

    def check(self, action: Action) -> None:
        """Whether this host lets us do ``action``: asked before anything is unpacked for it. Raises SandboxError."""
        if isinstance(action, RunAction):
            host.check()

    def do(self, action: Action, site: Worksite, number: int, *, renew: bool) -> Work:
        """Does ``action``, the rootfs being at its parent; ``renew``: cache mounts start anew, once in this build.

        Raises what belongs to it: RunError, BuildContextError, ... `keep` has to follow, or the end of the rootfs.
        """
        if self.audit is not None:
            self.audit.begin(site, number)
        match action:
            case RunAction():
                return self._run(action, site, number, renew=renew)
            case CopyAction():
                return self._copy(action, site, number)
            case DirectoryAction():
                return self._make_directory(action, site)

    def _run(self, action: RunAction, site: Worksite, number: int, *, renew: bool) -> Work:
        watch = Stopwatch()
        armed = site.armed
        watch.lap("arm")
        self._ensure_directory(site.rootfs, action)
        self._explain(armed, number)
        session = armed.session
        with self.mounting.prepared(action, number, renew=renew) as prepared:
            command = _command(action, prepared, self.emulations.get(action.platform))
            outcome = run(site.rootfs, command, Output(self.events, number), witness=session.needs_link_witness)
        watch.lap("work")
        if outcome.exit_code != 0:
            shown = " ".join(action.argv)
            raise RunError(
                f'process "{shown}" did not complete successfully: exit code: {outcome.exit_code}',
                code=outcome.exit_code,
                tail=outcome.tail,
            )
        hints, losses = widen(session.settle())
        watch.lap("settle")
        links_made = outcome.links_made if session.needs_link_witness else 0
        return Work(hints, watch, tracker=session.tracker, losses=losses, links_made=links_made)

    def _ensure_directory(self, rootfs: Rootfs, action: RunAction) -> None:
        """A base may name a working directory that it does not have: the RUN's user gets it, and the layer has it."""
        path = os.fsencode(action.cwd)
        if rootfs.entry(rootfs.resolve(path)) is None:
            identity = resolve_user(rootfs, action.user)
            rootfs.make_directory(path, identity.uid, identity.gid)

    def _explain(self, armed: Armed, number: int) -> None:
        """Tells why changes are found the way they are, once as long as the reasons are the same."""
        if armed.why not in self.explained:
            self.explained.add(armed.why)
            self.events.emit(StepNote(number, f"changes are found by {_reasons(armed)}"))

    def keep(self, work: Work, site: Worksite, number: int) -> Performed:
        """What changed, as a layer of the store; the rootfs with it is what the next step finds."""
        hints, watch, tracker = work.hints, work.watch, work.tracker
        watch.skip()
        changes = site.baseline.reconcile(
            site.rootfs, hints, work.listed, hash=self.hash_mode, links_made=work.links_made
        )
        watch.lap("compare")
        losses = (*work.losses, *changes.losses)
        if self.audit is not None:
            evidence = Evidence(tracker, hints, losses)
            self.audit.check(site, site.rootfs, changes, evidence, work.listed, number)
            watch.skip()
        for path in changes.sockets:
            self.events.emit(StepNote(number, f"socket {_shown(path)} is not in the layer"))
        report = StepReport(tracker=tracker, hints=len(hints), losses=losses)
        layer: Layer | None = None
        if len(changes):
            written = write_layer(
                site.rootfs,
                site.baseline,
                changes,
                self.store,
                self.compression,
                max_mtime=self.max_mtime,
            )
            layer = written.layer
            report = StepReport(
                tracker=tracker,
                hints=report.hints,
                losses=report.losses,
                entries=written.entries,
                size=written.size,
                stored=layer.descriptor.size,
                diff_id=str(layer.diff_id),
            )
        watch.lap("pack")
        site.advance(changes, layer)
        watch.lap("advance")
        if self.audit is not None:
            self.audit.end(site)
        return Performed(layer, replace(report, costs=watch.costs()))

    def _make_directory(self, action: DirectoryAction, site: Worksite) -> Work:
        watch = Stopwatch()
        uid, gid = resolve_owner(site.rootfs, action.user) if action.user else (0, 0)
        try:
            return _written(site.rootfs.make_directory(os.fsencode(action.path), uid, gid), watch)
        except NotADirectoryError as error:
            raise DockerfileError(f"WORKDIR {action.path}: something that is no directory is in the way") from error

    def _copy(self, action: CopyAction, site: Worksite, number: int) -> Work:
        watch = Stopwatch()
        placed = place(action, self.sources, site)
        for warning in placed.warnings:
            self.events.emit(StepNote(number, warning))
        return _written(placed.paths, watch)


def _written(paths: Sequence[bytes], watch: Stopwatch) -> Work:
    """After writes of our own: their list is authoritative, their events are no news."""
    watch.lap("work")
    hints = HintSet()
    for path in paths:
        hints.add(path, "entry")
    return Work(hints, watch, listed=paths)


def _command(action: RunAction, prepared: Prepared, emulation: "Emulation | None") -> Command:
    script = () if action.script is None else (Mount.file(*map(os.fsencode, action.script)),)
    env = [entry for entry in (*action.env, *action.proxies) if entry.partition("=")[0] not in prepared.env]
    return Command(
        argv=action.argv,
        env=(*env, *(f"{name}={value}" for name, value in prepared.env.items())),
        cwd=action.cwd,
        user=action.user,
        hostname=action.hostname,
        mounts=(*script, *prepared.mounts),
        network=action.network,
        security=action.security,
        options=action.options,
        emulators=None if emulation is None else emulation.emulators,
    )


def _reasons(armed: Armed) -> str:
    name = armed.session.tracker
    if len(armed.why) == 1:
        return f"{name}: {armed.why[0].removeprefix(f'{name}: ')}"
    return f"{name} ({'; '.join(armed.why)})"


def _shown(path: bytes) -> str:
    return "/" + os.fsdecode(path)
