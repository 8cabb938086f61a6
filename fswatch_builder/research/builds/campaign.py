"""A whole run of ``bench CONTEXT``: once for reference, then all builders in turns, within the time there is."""

import os
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Protocol

from msgspec import Struct, field

from fswatch_builder.errors import BuildError, UsageError
from fswatch_builder.research.bench.room import bytes_below, check_room
from fswatch_builder.research.builds.bases import Script, archives, bring_local, for_peers
from fswatch_builder.research.builds.contestants import ways
from fswatch_builder.research.builds.likeness import differing, taken_in
from fswatch_builder.research.builds.project import OwnBuild, Project, build
from fswatch_builder.research.builds.rows import Build, BuildPlan, BuildRow, Run
from fswatch_builder.research.builds.summary import PEER
from fswatch_builder.research.machine import Background
from fswatch_builder.research.peers.measuring import OutOfTimeError, PeerError
from fswatch_builder.research.peers.own_log import Step
from fswatch_builder.research.peers.peer import Job, Peer
from fswatch_builder.research.peers.private import private_place
from fswatch_builder.research.strategies import Strategy, strategies

REFERENCE = "scan-hash"
"""What reads everything finds everything: images are compared with the one that it built first."""


_PEER_COPIES = 4
"""What a peer takes of disk, in times of the reference build: the base in a file, unpacked, a build, an image."""


class BuildOnlooker(Protocol):
    """Learns how a run gets on."""

    def begins(self, what: str) -> None:
        """Something that may take a while, before anything is measured."""

    def estimates(self, builds: int, each_s: float) -> None:
        """So many builds are to be done, and take about so long."""

    def left_out(self, name: str, reason: str) -> None:
        """A builder takes no part after all."""

    def is_at(self, done: int, of: int, seconds_left: float | None) -> None:
        """So many builds are done."""

    def has_no_time(self, repetitions: int) -> None:
        """Time is up, after so many whole repetitions."""


class Difference(Struct, frozen=True):
    """Where a peer's image differs from ours, times aside; ``problem``: why it was not compared."""

    builder: str
    paths: tuple[str, ...] = ()
    problem: str | None = None


class Clock(Struct):
    """How long there is; None: for ever."""

    seconds: float | None
    begun: float = field(default_factory=time.monotonic)

    def left(self) -> float | None:
        """Seconds; nothing at the least."""
        return None if self.seconds is None else max(0.0, self.begun + self.seconds - time.monotonic())

    def is_enough(self, needed: float) -> bool:
        """Whether so much is left."""
        left = self.left()
        return left is None or left > needed


class BuildCampaign(Struct, frozen=True):
    """``directory`` takes everything that is written. ``users_store`` is only read. ``seconds``: the time there is."""

    plan: BuildPlan
    project: Project
    script: Script
    peers: Sequence[Peer]
    directory: str
    users_store: str
    seconds: float | None = None
    differences: list[Difference] = field(default_factory=list)

    def run(self, onlooker: BuildOnlooker, done: Sequence[BuildRow] = ()) -> Iterator[BuildRow]:
        """Each row as it is known, without those that are ``done``; then ``differences`` are known too. BuildError."""
        clock = Clock(self.seconds)
        with private_place(self.directory) as home, ExitStack() as stack:
            store, log = os.path.join(home, "store"), os.path.join(home, "log")
            bring_local(self.script, self.users_store, store)
            onlooker.begins("building once: for reference, and so that the bases are here")
            reference = self._once(store, log, clock)
            check_room(self.directory, bytes_below(home) * (1 + _PEER_COPIES * len(self.peers)))
            builders: dict[str, Callable[[], Build]] = {
                strategy.name: self._own(strategy, store, log, reference, clock)
                for strategy in self._in_time(reference, clock, onlooker)
            }
            brought = self._prepare(home, store, stack, onlooker)
            builders |= {peer.name: _peers_build(peer, job) for peer, job in brought.items()}
            onlooker.estimates(len(builders) * self.plan.repeat - len(done), reference.cost.seconds)
            yield from self._turns(builders, clock, onlooker, done)
            for peer, job in brought.items():
                self.differences.append(_difference(peer, job, home, store, reference.told.manifest))

    def _in_time(self, reference: OwnBuild, clock: Clock, onlooker: BuildOnlooker) -> list[Strategy]:
        """All strategies, or as many as there is time for: one that watches and one that does not before the others."""
        asked = [ways()[one.name] for one in self.plan.contestants if one.kind != PEER]
        ordered = sorted(asked, key=lambda one: _first_of_its_kind(one, asked), reverse=True)
        left = clock.left()
        most = len(asked) if left is None else int(left / reference.cost.seconds)
        if most < min(len(asked), 2):
            raise self._too_long()
        for one in ordered[most:]:
            onlooker.left_out(one.name, "there is no time for it")
        return [one for one in asked if one in ordered[:most]]

    def _too_long(self) -> UsageError:
        return UsageError(
            f"two builds and one for reference take longer than the {self.seconds:.0f} s there are",
            hint="measure without --quick",
        )

    def _once(self, store: str, log: str, clock: Clock) -> OwnBuild:
        try:
            return build(self.project, strategies()[REFERENCE], store, log, clock.left())
        except OutOfTimeError as error:
            raise self._too_long() from error

    def _own(self, strategy: Strategy, store: str, log: str, reference: OwnBuild, clock: Clock) -> Callable[[], Build]:
        layers = _layers(reference)

        def once() -> Build:
            made = build(self.project, strategy, store, log, clock.left())
            differs: tuple[str, ...] = ()
            if _layers(made) != layers and made.told.manifest and reference.told.manifest:
                differs = differing(store, reference.told.manifest, made.told.manifest)
            return _own_row(made, differs)

        return once

    def _prepare(self, home: str, store: str, stack: ExitStack, onlooker: BuildOnlooker) -> dict[Peer, Job]:
        ready: dict[Peer, Job] = {}
        if not self.peers:
            return ready
        try:
            translated = for_peers(self.script, store)
        except PeerError as error:
            for peer in self.peers:
                onlooker.left_out(peer.name, error.what)
            return ready
        dockerfile = os.path.join(home, "Dockerfile")
        with open(dockerfile, "wb") as file:
            file.write(translated.text)
        found = archives(translated.bases, store, home)
        job = Job(self.project.context, dockerfile, self.project.target, self.project.build_args)
        for number, peer in enumerate(self.peers):
            onlooker.begins(f"{peer.name}: bringing the bases to it")
            work = os.path.join(home, f"peer-{number}")
            os.mkdir(work)
            stack.callback(peer.close)
            try:
                peer.prepare(found, work)
            except PeerError as error:
                onlooker.left_out(peer.name, error.what)
                continue
            ready[peer] = job
        return ready

    def _turns(
        self,
        builders: Mapping[str, Callable[[], Build]],
        clock: Clock,
        onlooker: BuildOnlooker,
        done: Sequence[BuildRow],
    ) -> Iterator[BuildRow]:
        begun, total, longest, count = time.monotonic(), len(builders) * self.plan.repeat, 0.0, 0
        schedule = turns(list(builders), self.plan.repeat, self.plan.seed)
        try:
            for row in rows(builders, schedule, Background(), done):
                yield row
                now, count = time.monotonic(), count + 1
                left = (now - begun) / count * (total - count) if count >= len(builders) else None
                onlooker.is_at(count, total, left)
                if count % len(builders) == 0:
                    longest = max(longest, (now - begun) / (count // len(builders)))
                    if count < total and not clock.is_enough(longest):
                        raise OutOfTimeError("another repetition would not be whole")
        except OutOfTimeError:
            onlooker.has_no_time(count // len(builders))


def _first_of_its_kind(one: Strategy, asked: Sequence[Strategy]) -> bool:
    """Of those that watch, or that scan as a build does."""
    return one == next((other for other in asked if other.watches == one.watches and other.reads == one.reads), None)


def turns(builders: Sequence[str], repeat: int, seed: int) -> Iterator[tuple[str, int]]:
    """Every builder once in each repetition, in an order drawn anew."""
    for repetition in range(repeat):
        draw = random.Random(f"{seed}/{repetition}")
        for builder in draw.sample(builders, len(builders)):
            yield builder, repetition


def rows(
    builders: Mapping[str, Callable[[], Build]],
    schedule: Iterable[tuple[str, int]],
    load: Callable[[], float],
    done: Iterable[BuildRow] = (),
) -> Iterator[BuildRow]:
    """The builds of ``schedule`` that are not ``done`` yet. A builder that fails is a row that says so; it is not tried
    again.
    """
    known = {(row.builder, row.repetition) for row in done}
    hopeless = {row.builder: row.problem for row in done if row.problem is not None}
    for builder, repetition in schedule:
        if (builder, repetition) in known:
            continue
        if builder not in hopeless:
            load()
            try:
                found = builders[builder]()
            except OutOfTimeError:
                raise
            except BuildError as error:
                hopeless[builder] = error.what
            else:
                yield BuildRow(builder, repetition, load(), found)
                continue
        yield BuildRow(builder, repetition, 0.0, None, hopeless[builder])


def _layers(made: OwnBuild) -> tuple[str, ...]:
    return tuple(step.report.diff_id for step in made.told.steps if step.report.diff_id is not None)


def _own_row(made: OwnBuild, differs: tuple[str, ...]) -> Build:
    return Build(
        seconds=made.cost.seconds,
        cpu_s=made.cost.cpu_s,
        peak_rss=made.cost.peak_kib * 1024,
        once_s=sum(step.once for step in made.told.steps),
        runs=tuple(_run(step) for step in made.told.steps if step.is_run),
        layers=_layers(made),
        differs=differs,
    )


def _run(step: Step) -> Run:
    losses = tuple(sorted({reason for reason, _ in step.report.losses}))
    costs = step.report.costs
    if costs is None:
        return Run(step.seconds, losses=losses, tracker=step.report.tracker)
    return Run(costs.again, costs.work, costs.find, costs.pack, losses, step.report.tracker)


def _peers_build(peer: Peer, job: Job) -> Callable[[], Build]:
    def once() -> Build:
        made = peer.build(job)
        return Build(
            seconds=made.cost.seconds,
            cpu_s=None if peer.has_daemon else made.cost.cpu_s,
            peak_rss=None if peer.has_daemon else made.cost.peak_kib * 1024,
            once_s=None,
            runs=tuple(Run(seconds) for seconds in made.runs),
        )

    return once


def _difference(peer: Peer, job: Job, home: str, store: str, ours: str | None) -> Difference:
    """Not measured: the image is written to a file, and read in."""
    archive = os.path.join(home, "out.tar")
    try:
        peer.export(job, archive, fresh=False)
        if ours is None:
            raise PeerError("our own image is not known")
        found = differing(store, taken_in(store, archive), ours)
    except BuildError as error:
        return Difference(peer.name, problem=error.what)
    finally:
        if os.path.exists(archive):
            os.unlink(archive)
    return Difference(peer.name, found)
