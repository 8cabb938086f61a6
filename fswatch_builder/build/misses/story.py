"""The steps of a stage as the last build of it had them: what a step that misses the cache is held against.

It is found by the place of the stage: build context and Dockerfile as they were given, stage, platform. Of steps that
stand there under another number (one was put in above, one was taken out) each is held against the one with the same
text; an edited one against what stood in its place.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

import msgspec
from msgspec import Struct

from fswatch_builder.build.keys import Inputs, place_key
from fswatch_builder.build.misses.reasons import differences
from fswatch_builder.build.misses.record import StepRecord, recorded, text_digest, written
from fswatch_builder.build.parts import Part
from fswatch_builder.errors import BuildError
from fswatch_builder.model.digest import ChainID
from fswatch_builder.model.instruction import Copy, Instruction, Run, Workdir
from fswatch_builder.model.plan import Scratch, Stage, StageSource
from fswatch_builder.model.readable import readable
from fswatch_builder.oci.store import Store

#: The number changes whenever what is kept changes its form: what an older version kept is not read.
_NOTE: Final = "steps of a stage 2"

#: Bytes of a stage's listings. Of files beyond that it is told that they changed, and not which.
_MOST_LISTINGS: Final = 2 << 20
_FAST: Final = 1

_UNKNOWN: Final = "no earlier build of it is recorded here"


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    """``base``: what the stage begins with, as it is called and as a state."""

    base: str
    chain: str
    steps: tuple[StepRecord, ...]


class StageStory:
    """Of one stage, while it is walked. Positions are those in ``Stage.instructions``."""

    def __init__(self, stage: Stage, before: _Kept | None, chain: ChainID | None) -> None:
        """``chain``: the state that the stage begins with now."""
        self._stage = stage
        self._before = before
        self._chain = "" if chain is None else str(chain)
        steps = () if before is None else before.steps
        self._counterparts = dict(_aligned(steps, stage.instructions))
        self._now: dict[int, StepRecord] = {}
        self._base_told = False

    def step(self, position: int) -> "StepStory":
        """That of one of its instructions."""
        return StepStory(self, position, self._stage.instructions[position])

    def why(self, position: int, now: StepRecord) -> tuple[str, ...]:
        """Why the cache has no such step: at least one reason."""
        if self._before is None:
            return (_UNKNOWN,)
        before = self._counterparts.get(position)
        if before is None:
            return ("the instruction is new",)
        if before.key == now.key:
            return ("its result is not in the store any more",)
        reasons = differences(before, now)
        if before.parent != now.parent:
            reasons = (*reasons, self._why_below(self._before))
        return reasons or ("one of its inputs changed",)

    def done(self, position: int, now: StepRecord) -> None:
        """A step that has a result in the store."""
        self._now[position] = now

    def kept(self) -> bytes:
        """For the next build. Steps that were not reached are as they were."""
        steps = {**self._counterparts, **self._now}
        left = _MOST_LISTINGS
        known = []
        for position in sorted(steps):
            size = sum(len(listing) for listing in steps[position].listings.values())
            known.append(steps[position] if size <= left else msgspec.structs.replace(steps[position], listings={}))
            left -= size if size <= left else 0
        kept = msgspec.msgpack.encode(_Kept(readable(self._stage.base_text), self._chain, tuple(known)))
        return zlib.compress(kept, _FAST)

    def _why_below(self, before: _Kept) -> str:
        if self._base_told or before.chain == self._chain:
            return "the step before it changed"
        self._base_told = True
        if before.base != readable(self._stage.base_text):
            return f"the stage began with {before.base}"
        match self._stage.base:
            case StageSource():
                return f"the stage {before.base}, which it begins with, changed"
            case Scratch():
                return "the step before it changed"
            case _:
                return f"the base {before.base} is another image now"


class StepStory(Struct, frozen=True):
    """Of one step."""

    stage: StageStory
    position: int
    instruction: Instruction

    def record(self, inputs: Inputs, parts: Iterable[Part]) -> StepRecord:
        """Of the step as it is now."""
        return recorded(self.instruction, inputs, parts)

    def why(self, now: StepRecord) -> tuple[str, ...]:
        """Why the cache has no such step: at least one reason."""
        return self.stage.why(self.position, now)

    def done(self, now: StepRecord) -> None:
        """It has a result in the store."""
        self.stage.done(self.position, now)


class Stories:
    """Of the stages of one build."""

    def __init__(self, store: Store, project: Sequence[str], stages: Sequence[Stage], *, keep: bool) -> None:
        """``project``: what tells this Dockerfile from others. ``keep`` is off where results are not kept either."""
        self._store = store
        self._project = tuple(project)
        self._stages = tuple(stages)
        self._keep = keep

    @contextmanager
    def of(self, stage: Stage, chain: ChainID | None) -> Iterator[StageStory]:
        """Kept at the end, of a build that fails too."""

        def keep() -> None:
            if self._keep:
                self._store.memory.note(_NOTE, place, story.kept())

        called = (stage.label, stage.prefix)
        namesakes = sum((one.label, one.prefix) == called and one.index < stage.index for one in self._stages)
        platform = stage.prefix.strip() or str(stage.platform)
        place = place_key((*self._project, stage.label, str(namesakes), platform))
        story = StageStory(stage, _read(self._store.memory.recall(_NOTE, place)), chain)
        try:
            yield story
        except BaseException:
            with suppress(BuildError):  # what ended the build is what has to be told
                keep()
            raise
        keep()


def _read(kept: bytes | None) -> _Kept | None:
    try:
        return None if kept is None else msgspec.msgpack.decode(zlib.decompress(kept), type=_Kept)
    except (zlib.error, msgspec.DecodeError, msgspec.ValidationError):
        return None  # a sentence less; no build fails for it


def _aligned(steps: Sequence[StepRecord], instructions: Sequence[Instruction]) -> Iterator[tuple[int, StepRecord]]:
    """The positions of steps now, each with what it is held against; those that are new have nothing."""
    now = [(position, one) for position, one in enumerate(instructions) if isinstance(one, Run | Copy | Workdir)]
    texts, before = [text_digest(written(one)) for _, one in now], [step.text_digest for step in steps]
    if before == texts:
        yield from ((position, step) for (position, _), step in zip(now, steps, strict=True))
        return
    from difflib import SequenceMatcher

    for tag, first, last, begin, end in SequenceMatcher(None, before, texts, autojunk=False).get_opcodes():
        if tag == "equal":
            yield from ((position, step) for (position, _), step in zip(now[begin:end], steps[first:last], strict=True))
        elif tag == "replace":
            left = list(steps[first:last])
            for position, one in now[begin:end]:
                index = next((index for index, step in enumerate(left) if _is_alike(step.kind, one)), None)
                if index is not None:
                    yield position, left[index]
                    del left[: index + 1]


def _is_alike(kind: str, instruction: Instruction) -> bool:
    match instruction:
        case Run():
            return kind == "run"
        case Copy():
            return kind in ("copy", "add")
        case _:
            return kind == "directory"
