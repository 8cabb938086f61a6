"""Walking one stage: instruction by instruction, from the cache where it can, on the rootfs where it must."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING

from fswatch_builder.build import keys
from fswatch_builder.build.assembly import assemble, history_line
from fswatch_builder.build.cache import Hit, StepCache
from fswatch_builder.build.checks import warnings
from fswatch_builder.build.environment import Scope
from fswatch_builder.build.events import Events, Status, StepFinished, StepReport, StepStarted, WarningFound
from fswatch_builder.build.failures import explained
from fswatch_builder.build.sources import Built, Sources
from fswatch_builder.build.steps import SCRATCH, StageState, begin, translate
from fswatch_builder.build.worksite import Worksite
from fswatch_builder.errors import BaseImageError, DockerfileError, Location
from fswatch_builder.model.digest import Digest
from fswatch_builder.model.image import History, Image, Layer
from fswatch_builder.model.instruction import Instruction
from fswatch_builder.model.plan import ImageSource, NamedContext, Plan, Scratch, Stage, StageSource
from fswatch_builder.model.step import Action, CopyAction, DirectoryAction, RootfsStep, RunAction
from fswatch_builder.oci.compression import Compression

if TYPE_CHECKING:
    from fswatch_builder.build.executor import Executor
    from fswatch_builder.model.hash_mode import HashMode


@dataclass(frozen=True, slots=True)
class Finished(Built):
    """A finished stage, with what a stage that starts from it inherits."""

    scope: Scope


@dataclass(frozen=True, slots=True)
class How:
    """Settings of steps that are no part of their keys."""

    hash_mode: "HashMode"
    compression: Compression
    audit: bool = False


class Walker:
    """Walks the stages of one plan, in order."""

    def __init__(
        self,
        plan: Plan,
        cache: StepCache,
        sources: Sources,
        how: "How",
        events: Events,
        finished: Mapping[int, Finished],
    ) -> None:
        """``finished`` has the stages walked before; ``sources`` reads it too."""
        self._plan = plan
        self._cache = cache
        self._sources = sources
        self._how = how
        self._events = events
        self._finished = finished
        self._numbers = count(1)
        self._loaded: Executor | None = None

    def walk(self, stage: Stage, site: Worksite) -> Finished:
        """The stage's image. ``site`` stays empty if the cache knows every step."""
        total = 1 + len(stage.instructions)
        with self._step(stage, 1, total, f"FROM {stage.base_text}", stage.where) as progress:
            base, inherited = self._base(stage)
            progress.done("done")
        state = begin(base.config, inherited)
        layers: tuple[Layer, ...] = base.layers
        history = _full_history(base)
        start = len(history)
        for position, instruction in enumerate(stage.instructions, 2):
            with self._step(stage, position, total, instruction.source, instruction.where) as progress:
                self._check(instruction, state)
                step, state = translate(instruction, state, stage, self._plan)
                layer, created = None, None
                if isinstance(step, RootfsStep):
                    layer, created = self._rootfs_step(step, layers, site, progress, stage.where)
                else:
                    progress.done("config")
            if layer is not None:
                layers = (*layers, layer)
            history = (*history, history_line(step.created_by, layer=layer is not None, created=created))
        image = assemble(stage.platform, state.config, layers, history, start, self._plan.source_date_epoch)
        return Finished(image, site, state.scope)

    def _check(self, instruction: Instruction, state: StageState) -> None:
        checks = self._plan.checks
        for warning in warnings(instruction, state, self._plan):
            if checks.reports(warning.rule, instruction.where.line):
                self._events.emit(WarningFound(warning.rule, warning.message, warning.where))
                if checks.fail:
                    raise DockerfileError(f"lint violation found for rules: {warning.rule}", where=warning.where)

    def _base(self, stage: Stage) -> tuple[Image, Scope | None]:
        match stage.base:
            case Scratch():
                return Image(platform=stage.platform, config=SCRATCH), None
            case StageSource(index=index):
                parent = self._finished[index]
                return parent.image, parent.scope
            case NamedContext() | ImageSource() as source:
                image = self._sources.image(source, stage.platform)
                if image.config.on_build:
                    raise DockerfileError(
                        f"the base image {stage.base_text} has ONBUILD triggers, which are not supported yet",
                        hint=f"its first one is: ONBUILD {image.config.on_build[0]}",
                    )
                return image, None

    def _rootfs_step(
        self, step: RootfsStep, layers: tuple[Layer, ...], site: Worksite, progress: "Progress", base: Location
    ) -> tuple[Layer | None, datetime | None]:
        key = self._key(step.action, layers)
        hit = self._cache.find(key)
        if hit is not None:
            progress.done("cached", _cached_report(hit))
            return hit.layer, hit.created
        executor = self._executor()
        executor.check(step.action)
        try:
            site.bring_to(layers)
        except BaseImageError as error:
            raise error.at(base) from error
        performed = executor.perform(step.action, site, progress.number)
        created = datetime.now(UTC).replace(microsecond=0)
        self._cache.record(key, performed.layer, created)
        progress.done("done", performed.report)
        return performed.layer, created

    def _executor(self) -> "Executor":
        """Loaded at the first step that has to be done: a build from the cache needs neither sandbox nor trackers."""
        if self._loaded is None:
            from fswatch_builder.build.audit import Audit
            from fswatch_builder.build.executor import Executor

            self._loaded = Executor(
                store=self._cache.store,
                sources=self._sources,
                events=self._events,
                hash_mode=self._how.hash_mode,
                compression=self._how.compression,
                max_mtime=self._plan.source_date_epoch,
                audit=Audit(self._events) if self._how.audit else None,
            )
        return self._loaded

    def _key(self, action: Action, layers: tuple[Layer, ...]) -> Digest:
        parent = keys.chain_of(layer.diff_id for layer in layers)
        epoch = self._plan.source_date_epoch
        match action:
            case RunAction():
                return keys.run_key(parent, action, epoch)
            case CopyAction():
                content = self._sources.content(action.source, action.patterns) if action.patterns else b""
                return keys.copy_key(parent, action, content, epoch)
            case DirectoryAction():
                return keys.directory_key(parent, action, epoch)

    @contextmanager
    def _step(self, stage: Stage, position: int, total: int, title: str, where: Location) -> Iterator["Progress"]:
        progress = Progress(next(self._numbers), self._events)
        self._events.emit(StepStarted(progress.number, stage.label, position, total, title, where))
        try:
            yield progress
        except BaseException as error:
            progress.done("failed")
            if isinstance(error, Exception):
                raise explained(error, where) from error
            raise


class Progress:
    """One step in the stream of events."""

    def __init__(self, number: int, events: Events) -> None:
        """Starts the clock."""
        self.number = number
        self._events = events
        self._started = time.monotonic()

    def done(self, status: Status, report: StepReport | None = None) -> None:
        """The step is over."""
        self._events.emit(StepFinished(self.number, status, time.monotonic() - self._started, report))


def _full_history(base: Image) -> tuple[History, ...]:
    """A base that tells nothing of its layers gets a line for each, so that ours can follow."""
    return base.history or tuple(History() for _ in base.layers)


def _cached_report(hit: Hit) -> StepReport:
    if hit.layer is None:
        return StepReport()
    return StepReport(stored=hit.layer.descriptor.size, diff_id=str(hit.layer.diff_id))
