"""Doing a step on a rootfs: RUN, COPY, ADD and WORKDIR, each ending in the same way: reconcile, layer, new baseline."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

from fswatch_builder._native import ArchiveError, Copied, HintSet, Mode, Rootfs, add_archive, copy
from fswatch_builder.build.audit import Audit
from fswatch_builder.build.events import Events, StepNote, StepOutput, StepReport
from fswatch_builder.build.sources import Sources, Tree
from fswatch_builder.build.worksite import Armed, Worksite
from fswatch_builder.changes.audit import Evidence
from fswatch_builder.changes.widen import widen
from fswatch_builder.errors import BuildContextError, DockerfileError, RunError
from fswatch_builder.layering.writer import write_layer
from fswatch_builder.model.image import Layer
from fswatch_builder.model.step import Action, CopyAction, DirectoryAction, RunAction
from fswatch_builder.oci.compression import Compression, decompressed, is_archive
from fswatch_builder.oci.decoding import CompressionError
from fswatch_builder.oci.store import Store
from fswatch_builder.runtime import host
from fswatch_builder.runtime.run import Command, Stream, run
from fswatch_builder.runtime.user import resolve_owner, resolve_user

if TYPE_CHECKING:
    from fswatch_builder.model.hash_mode import HashMode


@dataclass(frozen=True, slots=True)
class Performed:
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


@dataclass(frozen=True, slots=True)
class Executor:
    """Does steps. ``max_mtime`` (seconds) bounds the times in layers; ``hash_mode`` says what reconcile reads; an
    ``audit`` has to agree with each step.
    """

    store: Store
    sources: Sources
    events: Events
    hash_mode: "HashMode"
    compression: Compression
    max_mtime: int | None
    audit: Audit | None = None
    explained: set[tuple[str, ...]] = field(default_factory=set)  # reasons for a tracker that were told already

    def check(self, action: Action) -> None:
        """Whether this host lets us do ``action``: asked before anything is unpacked for it. Raises SandboxError."""
        if isinstance(action, RunAction):
            host.check()

    def perform(self, action: Action, site: Worksite, number: int) -> Performed:
        """Does ``action``, the rootfs being at its parent. Raises what belongs to it: RunError, BuildContextError,
        ...
        """
        if self.audit is not None:
            self.audit.begin(site, number)
        match action:
            case RunAction():
                return self._run(action, site, number)
            case CopyAction():
                return self._written(self._copy(action, site, number), site, number)
            case DirectoryAction():
                return self._written(self._make_directory(action, site), site, number)

    def _run(self, action: RunAction, site: Worksite, number: int) -> Performed:
        armed = site.armed
        self._ensure_directory(site.rootfs, action)
        self._explain(armed, number)
        command = Command(
            argv=action.argv,
            env=(*action.env, *action.proxies),
            cwd=action.cwd,
            user=action.user,
            hostname=action.hostname,
            files=() if action.script is None else ((action.script[0], os.fsencode(action.script[1])),),
        )
        session = armed.session
        outcome = run(site.rootfs, command, Output(self.events, number), witness=session.needs_link_witness)
        if outcome.exit_code != 0:
            shown = " ".join(action.argv)
            raise RunError(
                f'process "{shown}" did not complete successfully: exit code: {outcome.exit_code}',
                code=outcome.exit_code,
                tail=outcome.tail,
            )
        hints, losses = widen(session.settle())
        links_made = outcome.links_made if session.needs_link_witness else 0
        return self._layer(site, hints, (), number, tracker=session.tracker, losses=losses, links_made=links_made)

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

    def _written(self, paths: Sequence[bytes], site: Worksite, number: int) -> Performed:
        """After writes of our own: their list is authoritative, their events are no news."""
        hints = HintSet()
        for path in paths:
            hints.add(path, "entry")
        return self._layer(site, hints, paths, number)

    def _layer(
        self,
        site: Worksite,
        hints: HintSet,
        listed: Sequence[bytes],
        number: int,
        *,
        tracker: str | None = None,
        losses: Sequence[tuple[str, bytes]] = (),
        links_made: int | None = 0,
    ) -> Performed:
        changes = site.baseline.reconcile(site.rootfs, hints, listed, hash=self.hash_mode, links_made=links_made)
        if self.audit is not None:
            evidence = Evidence(tracker, hints, (*losses, *changes.losses))
            self.audit.check(site, site.rootfs, changes, evidence, listed, number)
        for path in changes.sockets:
            self.events.emit(StepNote(number, f"socket {_shown(path)} is not in the layer"))
        report = StepReport(tracker=tracker, hints=len(hints), losses=(*losses, *changes.losses))
        layer: Layer | None = None
        if len(changes):
            written = write_layer(
                site.rootfs, site.baseline, changes, self.store, self.compression, max_mtime=self.max_mtime
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
        site.advance(changes, layer)
        if self.audit is not None:
            self.audit.end(site)
        return Performed(layer, report)

    def _make_directory(self, action: DirectoryAction, site: Worksite) -> list[bytes]:
        uid, gid = resolve_owner(site.rootfs, action.user) if action.user else (0, 0)
        try:
            return site.rootfs.make_directory(os.fsencode(action.path), uid, gid)
        except NotADirectoryError as error:
            raise DockerfileError(f"WORKDIR {action.path}: something that is no directory is in the way") from error

    def _copy(self, action: CopyAction, site: Worksite, number: int) -> list[bytes]:
        owner = resolve_owner(site.rootfs, action.chown) if action.chown is not None else None
        mode = _mode(action.chmod)
        dest = os.fsencode(action.dest)
        written: list[Copied] = []
        if action.patterns:
            tree = self.sources.tree(action.source)
            for unpacks, paths in _runs(tree, tree.expand(action.patterns), action.add):
                if unpacks:
                    written += [_unpack(tree, path, site.rootfs, dest, owner) for path in paths]
                else:
                    written.append(
                        copy(
                            tree.rootfs,
                            paths,
                            site.rootfs,
                            dest,
                            ignore=tree.ignore,
                            owner=(0, 0) if owner is None and tree.is_context else owner,
                            mode=mode,
                            context=tree.is_context,
                        )
                    )
        if action.documents:
            directory = _write_documents(site, action.documents)
            names = [os.fsencode(name) for name, _ in action.documents]
            written.append(copy(directory, names, site.rootfs, dest, owner=owner or (0, 0), mode=mode))
        for copied in written:
            for warning in copied.warnings:
                self.events.emit(StepNote(number, warning))
        return sorted({path for copied in written for path in copied.paths})


def _reasons(armed: Armed) -> str:
    name = armed.session.tracker
    if len(armed.why) == 1:
        return f"{name}: {armed.why[0].removeprefix(f'{name}: ')}"
    return f"{name} ({'; '.join(armed.why)})"


def _runs(tree: Tree, paths: Sequence[bytes], add: bool) -> list[tuple[bool, list[bytes]]]:
    """The sources in their order, neighbours that are treated alike taken together: unpacked (ADD of an archive) or
    copied.
    """
    if not add:
        return [(False, list(paths))] if paths else []
    return [(unpacks, list(group)) for unpacks, group in groupby(paths, lambda path: _is_archive(tree, path))]


def _is_archive(tree: Tree, path: bytes) -> bool:
    entry = tree.rootfs.entry(tree.rootfs.resolve(path))
    return entry is not None and entry.kind == "file" and entry.size > 0 and is_archive(_host_path(tree, path))


def _unpack(tree: Tree, path: bytes, rootfs: Rootfs, dest: bytes, owner: tuple[int, int] | None) -> Copied:
    try:
        with decompressed(_host_path(tree, path)) as descriptor:
            return add_archive(rootfs, dest, descriptor, owner=owner)
    except (ArchiveError, CompressionError) as error:
        raise BuildContextError(f"{_shown(path)} cannot be unpacked: {error}") from error


def _host_path(tree: Tree, path: bytes) -> bytes:
    return tree.rootfs.path + b"/" + tree.rootfs.resolve(path)


def _write_documents(site: Worksite, documents: Sequence[tuple[str, str]]) -> Rootfs:
    """Heredocs as files, in a directory of their own."""
    from tempfile import mkdtemp

    directory = mkdtemp(prefix="heredoc-", dir=site.directory)
    for name, text in documents:
        with open(os.path.join(directory, name), "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o644)
    return Rootfs(os.fsencode(directory))


def _mode(text: str | None) -> Mode | None:
    if text is None:
        return None
    try:
        return Mode(text)
    except ValueError as error:
        raise DockerfileError(
            f"invalid chmod parameter: {text!r}", hint="use an octal mode or a symbolic one like u+x"
        ) from error


def _shown(path: bytes) -> str:
    return "/" + os.fsdecode(path)
