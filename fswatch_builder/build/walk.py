"""Walking one stage: instruction by instruction, from the cache where it can, on the rootfs where it must."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from fswatch_builder import stopping
from fswatch_builder.build import keys
from fswatch_builder.build.assembly import assemble, history_line
from fswatch_builder.build.cache import StepCache
from fswatch_builder.build.events import StepMissed, StepNote, StepReport
from fswatch_builder.build.misses.record import StepRecord
from fswatch_builder.build.misses.story import StepStory, Stories
from fswatch_builder.build.mounting import Mounting
from fswatch_builder.build.once import Once
from fswatch_builder.build.parts import Part
from fswatch_builder.build.progress import Progress, Steps
from fswatch_builder.build.sources import Built, Sources, Stages
from fswatch_builder.build.state import SCRATCH, StageState, begin, inherit
from fswatch_builder.build.steps import translate
from fswatch_builder.build.worksite import AlteredError, Base, Worksite
from fswatch_builder.dockerfile.mounts import source_of
from fswatch_builder.model.digest import Digest
from fswatch_builder.model.image import History, Image, Layer
from fswatch_builder.model.instruction import Copy, Instruction, Run
from fswatch_builder.model.plan import CopySource, ImageSource, NamedContext, Plan, Scratch, Stage, StageSource
from fswatch_builder.model.platform import Platform
from fswatch_builder.model.step import Action, CopyAction, DirectoryAction, RootfsStep, RunAction
from fswatch_builder.oci.compression import Compression
from fswatch_builder.oci.memory import StepResult

if TYPE_CHECKING:
    from fswatch_builder.build.executor import Executor, Performed, Work
    from fswatch_builder.model.hash_mode import HashMode
    from fswatch_builder.runtime.emulation import Emulation


class Finished(Built, frozen=True):
    """A finished stage, with what a stage that starts from it inherits. The first ``inherited`` layers are the base
    image's, not the build's.
    """

    state: StageState
    inherited: int


class How(Struct, frozen=True):
    """Settings of steps that are no part of their keys."""

    hash_mode: "HashMode"
    compression: Compression
    audit: bool = False
    uncached_stages: frozenset[str] = frozenset()  # names: all their steps are done
    rewrite_timestamps: bool = True


class _Due(Struct, frozen=True):
    """A step on a root file system whose turn has come: on top of which layers, where, and who is told of it."""

    step: RootfsStep
    layers: tuple[Layer, ...]
    site: Worksite
    stage: Stage
    progress: Progress
    story: StepStory


_NOTHING: Final = StepResult(None, None)


class Walker:
    """Walks the stages of one plan, several at a time if that many threads ask it to."""

    def __init__(
        self,
        plan: Plan,
        cache: StepCache,
        sources: Sources,
        mounting: Mounting,
        how: How,
        steps: Steps,
        finished: Stages[Finished],
        stories: Stories,
    ) -> None:
        """``finished`` has the stages that others start from, as ``sources`` has. ``stories``: of the last build."""
        self._plan = plan
        self._cache = cache
        self._sources = sources
        self._mounting = mounting
        self._how = how
        self._steps = steps
        self._events = steps.events
        self._finished = finished
        self._stories = stories
        #: No time in a new layer is later, in seconds.
        self._max_mtime = plan.source_date_epoch if how.rewrite_timestamps else None
        self._executors: Once[int, Executor] = Once()
        self._explained: set[tuple[str, ...]] = set()
        self._emulations: Once[None, Mapping[Platform, Emulation]] = Once()
        #: Steps that were done in this build, each with its stage: another stage does not do them again, without the
        #: cache too. The same line twice in a stage is done twice.
        self._performed: dict[Digest, int] = {}

    def walk(self, stage: Stage, site: Worksite) -> Finished:
        """The stage's image. ``site`` stays empty if the cache knows every step."""
        with self._steps.instruction(stage, 1, f"FROM {stage.base_text}", stage.where) as progress:
            base, state, inherited = self._base(stage, site)
            progress.done("done")
        layers: tuple[Layer, ...] = base.layers
        history = _full_history(base)
        start = len(history)
        with self._stories.of(stage, base.chain_id) as story:
            for position, instruction in enumerate(stage.instructions):
                stopping.check()
                for index in _taken(instruction, stage):
                    self._finished[index]  # before the step begins: its time is its own
                with self._steps.instruction(stage, position + 2, instruction.source, instruction.where) as progress:
                    step, state = translate(instruction, state, stage, self._plan)
                    done = _NOTHING
                    if isinstance(step, RootfsStep):
                        done = self._rootfs_step(_Due(step, layers, site, stage, progress, story.step(position)))
                    else:
                        progress.done("config")
                if done.layer is not None:
                    layers = (*layers, done.layer)
                if step.created_by is not None:
                    line = history_line(step.created_by, layer=done.layer is not None, created=done.created)
                    history = (*history, line)
        epoch = self._plan.source_date_epoch
        image = assemble(base.platform, state.config, state.author, layers, history, start, epoch)
        return Finished(image, site, state, inherited)

    def _base(self, stage: Stage, site: Worksite) -> tuple[Image, StageState, int]:
        """The image a stage starts from, its state before the first instruction, and how many layers no stage made."""
        match stage.base:
            case Scratch():
                site.base = Base(where=stage.where)
                return Image(platform=stage.platform, config=SCRATCH), begin(SCRATCH), 0
            case StageSource(index=index):
                parent = self._finished[index]
                site.base = replace(parent.site.base, where=stage.where)
                return parent.image, inherit(parent.state), parent.inherited
            case NamedContext() | ImageSource() as source:
                image = self._sources.image(source)
                site.base = Base(image.layers, stage.base_text, stage.where)
                return image, begin(image.config, image.author), len(image.layers)

    def _rootfs_step(self, due: _Due) -> StepResult:
        inputs, parts = self._inputs(due.step.action, due.layers)  # before the turn: it may wait for another stage
        record = due.story.record(inputs, parts)
        with self._cache.turn(inputs.key):
            return self._find_or_do(due, inputs, record)

    def _find_or_do(self, due: _Due, inputs: keys.Inputs, record: StepRecord) -> StepResult:
        anew = due.stage.name in self._how.uncached_stages
        renew = anew or not self._cache.read
        hit = self._performed_elsewhere(inputs.key, due.stage) if renew else self._cache.find(inputs.key)
        if hit is not None:
            due.story.done(record)
            due.progress.done("cached", _cached_report(hit))
            return hit
        asked = (f"--no-cache-filter {due.stage.name}",) if anew else () if self._cache.read else ("--no-cache",)
        self._events.emit(StepMissed(due.progress.number, asked or due.story.why(record)))
        performed = self._perform(due, renew)
        created = datetime.now(UTC).replace(microsecond=0)
        if self._inputs(due.step.action, due.layers)[0].key == inputs.key:
            self._cache.record(inputs.key, performed.layer, created)
            self._performed.setdefault(inputs.key, due.stage.index)
            due.story.done(record)
        else:  # a key that tells of other content than was copied would be a false hit some day
            self._events.emit(StepNote(due.progress.number, "the files changed while they were copied: not cached"))
        due.progress.done("done", performed.report)
        return StepResult(performed.layer, created)

    def _perform(self, due: _Due, renew: bool) -> "Performed":
        executor = self._executors.get(due.stage.index, self._executor)
        action, number = due.step.action, due.progress.number
        executor.check(action)
        if isinstance(action, CopyAction) and action.link:
            with Worksite(self._cache.store, "scan") as apart:
                apart.bring_to(())
                return executor.keep(executor.do(action, apart, number, renew=renew), apart, number)
        work = None
        if not (isinstance(action, RunAction) and action.leaves_traces):
            work = self._try(executor, due, renew=renew)
        if work is None:
            due.site.bring_to(due.layers)
            work = executor.do(action, due.site, number, renew=renew)
        # From here on the step counts.
        return executor.keep(work, due.site, number)

    def _try(self, executor: "Executor", due: _Due, *, renew: bool) -> "Work | None":
        """A step that is done while the tree below it is looked at. None if nothing of it is to be trusted."""
        number = due.progress.number
        try:
            with due.site.trial(due.layers):
                return executor.do(due.step.action, due.site, number, renew=renew)
        except AlteredError:
            self._events.emit(StepNote(number, "what this step did meanwhile is thrown away; it is done again"))
            return None

    def _performed_elsewhere(self, key: Digest, stage: Stage) -> StepResult | None:
        by = self._performed.get(key, stage.index)
        return None if by == stage.index else self._cache.store.memory.step(key)

    def _executor(self) -> "Executor":
        """Of a stage, at its first step that has to be done: one from the cache needs neither sandbox nor trackers."""
        from fswatch_builder.build.audit import Audit
        from fswatch_builder.build.executor import Executor
        from fswatch_builder.build.foreign import emulations

        def prepared() -> Mapping[Platform, "Emulation"]:
            return emulations(self._plan.stages, self._cache.store, self._steps)

        return Executor(
            store=self._cache.store,
            sources=self._sources,
            mounting=self._mounting,
            events=self._events,
            hash_mode=self._how.hash_mode,
            compression=self._how.compression,
            max_mtime=self._max_mtime,
            explained=self._explained,
            emulations=self._emulations.get(None, prepared),
            audit=Audit(self._events) if self._how.audit else None,
        )

    def _inputs(self, action: Action, layers: tuple[Layer, ...]) -> tuple[keys.Inputs, tuple[Part, ...]]:
        """All that the step's result depends on, and what of it comes from elsewhere."""
        parent = keys.chain_of(layer.diff_id for layer in layers)
        epoch = self._max_mtime
        match action:
            case RunAction():
                mounts = self._mounting.taken(action)
                inputs = keys.run_inputs(parent, action, epoch, [mount.key for mount in mounts])
                return inputs, tuple(part for mount in mounts for part in mount.parts)
            case CopyAction():
                taken = self._sources.content(action)
                return keys.copy_inputs(parent, action, taken.key, epoch), taken.parts
            case DirectoryAction():
                return keys.directory_inputs(parent, action, epoch), ()


def _taken(instruction: Instruction, stage: Stage) -> Iterator[int]:
    """The stages that an instruction takes from."""
    sources: list[CopySource | Scratch] = []
    match instruction:
        case Copy(stage=str(name)):
            sources.append(stage.sources[name])
        case Run(mounts=words):
            sources += [stage.mount_sources[text] for word in words if (text := source_of(word)) is not None]
        case _:
            pass
    return (source.index for source in sources if isinstance(source, StageSource))


def _full_history(base: Image) -> tuple[History, ...]:
    """A base that tells nothing of its layers gets a line for each, so that ours can follow."""
    return base.history or tuple(History() for _ in base.layers)


def _cached_report(hit: StepResult) -> StepReport:
    if hit.layer is None:
        return StepReport()
    return StepReport(stored=hit.layer.descriptor.size, diff_id=str(hit.layer.diff_id))
