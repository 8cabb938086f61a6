"""Stages: what each FROM and each COPY --from names, and which of them the target needs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from fswatch_builder.dockerfile.expansion import expand_word
from fswatch_builder.dockerfile.mounts import source_of
from fswatch_builder.dockerfile.parser import trigger
from fswatch_builder.errors import DockerfileError, Location, UsageError
from fswatch_builder.model.instruction import Arg, Copy, Dockerfile, From, Instruction, Onbuild, Run
from fswatch_builder.model.plan import (
    Base,
    CopySource,
    ImageSource,
    NamedContext,
    Scratch,
    Stage,
    StageSource,
)
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci.reference import Reference


class Names(Struct, frozen=True):
    """What a name in FROM or --from can mean besides an image."""

    stages: tuple[str | None, ...]
    contexts: Mapping[str, str]
    takes: tuple[frozenset[str], ...] = ()  # by stage, the names in its FROM and in the --from flags and mounts of it

    def stage_before(self, name: str, index: int) -> int | None:
        """The last stage of that name above stage ``index``."""
        found = [i for i, other in enumerate(self.stages[:index]) if other is not None and other == name]
        return found[-1] if found else None

    def leads_to(self, begin: int, goal: int) -> bool:
        """Whether a stage is another one, or takes something from it, at first or second hand."""
        seen: set[int] = set()
        waiting = [begin]
        while waiting:
            index = waiting.pop()
            if index == goal:
                return True
            if index not in seen:
                seen.add(index)
                waiting += (other for other, name in enumerate(self.stages) if name in self.takes[index])
        return False

    def context(self, name: str, platform: Platform) -> NamedContext | None:
        """``NAME::PLATFORM`` goes before ``NAME``; no context is called scratch or context."""
        if name in ("scratch", "context"):
            return None
        for spelled in dict.fromkeys((name, familiar_name(name))):
            for key in (f"{spelled}::{platform}", spelled):
                if key in self.contexts:
                    return NamedContext(name, self.contexts[key], platform)
        return None


def familiar_name(name: str) -> str:
    """An image's name as short as it can be: ``docker.io/library/alpine:latest`` is ``alpine``, a context's name."""
    try:
        return Reference.parse(name).familiar().removesuffix(":latest")
    except ValueError:
        return name


def split(dockerfile: Dockerfile) -> list[tuple[From, tuple[Instruction, ...]]]:
    """FROM and what follows it, for each stage."""
    if not dockerfile.instructions:
        raise DockerfileError("the Dockerfile cannot be empty", where=Location(dockerfile.name, 1))
    found: list[tuple[From, list[Instruction]]] = []
    for instruction in dockerfile.instructions:
        if isinstance(instruction, From):
            found.append((instruction, []))
        elif found:
            found[-1][1].append(instruction)
    if not found:
        last = dockerfile.instructions[-1]
        raise DockerfileError("dockerfile contains no stages to build", where=last.where, hint="start one with FROM")
    return [(start, tuple(body)) for start, body in found]


def resolve(
    dockerfile: Dockerfile,
    global_args: Mapping[str, str],
    contexts: Mapping[str, str],
    platform: Platform,
    triggers: Mapping[int, tuple[str, ...]],
) -> tuple[Stage, ...]:
    """All stages in file order, every reference resolved before any stage is dropped (an index counts the dropped
    ones too). ``triggers``: what base images have for ONBUILD, by the index of the stage that starts from them.

    As in BuildKit, ``scratch`` and images that COPY or a mount takes from are for the platform that is built for,
    whatever FROM says.
    """
    parts = split(dockerfile)
    names = Names(tuple(start.name for start, _ in parts), contexts, tuple(_takes(*part) for part in parts))
    stages: list[Stage] = []
    for index, (start, body) in enumerate(parts):
        base_text = expand_word(start.base, global_args, dockerfile.escape).text
        if not base_text:
            raise DockerfileError(
                f"base name ({start.base}) should not be blank",
                where=start.where,
                hint="give its ARG a default above the first FROM, or a value with --build-arg",
            )
        wanted = _platform(start, global_args, dockerfile.escape)
        replacement = names.context(start.name, wanted or platform) if start.name else None
        base = replacement or _base(base_text, names, index, wanted or platform)
        inherited = stages[base.index].platform if isinstance(base, StageSource) else platform
        own = platform if isinstance(base, Scratch) else wanted or inherited
        if replacement is not None:
            body = ()
        elif isinstance(base, StageSource):
            body = (*_triggered(_own_triggers(stages[base.index]), start), *body)
        else:
            body = (*_triggered(triggers.get(index, ()), start), *body)
        stages.append(
            Stage(
                index=index,
                name=start.name,
                base=base,
                base_text=base_text,
                platform=own,
                where=start.where,
                instructions=body,
                label=start.name or f"stage-{index}",
                args={name: global_args[name] for name in _bare(body) if name in global_args},
                sources=dict(_sources(body, names, index, platform)),
                mount_sources=dict(_mount_sources(body, names, index, platform)),
            )
        )
    return tuple(stages)


def _bare(body: Iterable[Instruction]) -> Iterator[str]:
    """Names of global ARGs that a stage asks for."""
    for instruction in body:
        if isinstance(instruction, Arg):
            yield from (name.text for name, default in instruction.items if default is None)


def _takes(start: From, body: Iterable[Instruction]) -> frozenset[str]:
    found = {start.base.text}
    for instruction in body:
        match instruction:
            case Copy(stage=str(stage)):
                found.add(stage.lower())
            case Run(mounts=mounts):
                found.update(text.lower() for word in mounts if (text := source_of(word)) is not None)
            case _:
                pass
    return frozenset(found)


def _own_triggers(stage: Stage) -> list[str]:
    return [instruction.trigger for instruction in stage.instructions if isinstance(instruction, Onbuild)]


def _triggered(texts: Iterable[str], start: From) -> Iterator[Instruction]:
    return (trigger(text, start.where) for text in texts)


def needed(stages: Sequence[Stage], target: Stage) -> tuple[Stage, ...]:
    """The target and what it needs, in file order; nothing else is pulled or run."""
    reached: set[int] = set()
    waiting = [target.index]
    while waiting:
        index = waiting.pop()
        if index not in reached:
            reached.add(index)
            waiting.extend(stages[index].needs)
    return tuple(stage for stage in stages if stage.index in reached)


def find_target(parts: Sequence[tuple[From, tuple[Instruction, ...]]], target: str | None) -> int:
    """The index of the stage called ``target``, case ignored; the last stage if none is asked for."""
    if not target:
        return len(parts) - 1
    names = [start.name for start, _ in parts]
    for index in reversed(range(len(names))):
        if names[index] == target.lower():
            return index
    known = [name for name in names if name]
    raise UsageError(f'target stage "{target}" could not be found', hint=suggestion(target.lower(), known))


def suggestion(name: str, known: Sequence[str]) -> str:
    """A way out for whoever named a stage that is not there."""
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"the stages with a name are: {', '.join(known)}" if known else "no stage of this Dockerfile has a name"


def _platform(start: From, global_args: Mapping[str, str], escape: str) -> Platform | None:
    if start.platform is None:
        return None
    text = expand_word(start.platform, global_args, escape).text
    if not text:
        raise DockerfileError(f"platform ({start.platform}) should not be blank", where=start.where)
    try:
        return Platform.parse(text)
    except ValueError as error:
        raise DockerfileError(str(error), where=start.where) from error


def _base(name: str, names: Names, index: int, platform: Platform) -> Base:
    earlier = names.stage_before(name, index)
    if earlier is not None:
        return StageSource(earlier)
    if name == "scratch":
        return Scratch()
    return names.context(name, platform) or ImageSource(name, platform)


def _sources(
    body: Iterable[Instruction], names: Names, index: int, platform: Platform
) -> Iterable[tuple[str, CopySource]]:
    for instruction in body:
        if isinstance(instruction, Copy) and instruction.stage is not None:
            yield instruction.stage, _source(instruction.stage, names, index, platform, instruction.where)


def _mount_sources(
    body: Iterable[Instruction], names: Names, index: int, platform: Platform
) -> Iterable[tuple[str, CopySource | Scratch]]:
    for instruction in body:
        for word in instruction.mounts if isinstance(instruction, Run) else ():
            text = source_of(word)
            if text is not None:
                yield (
                    text,
                    Scratch() if text == "scratch" else _named(text, names, index, platform, word.where, "mount"),
                )


def _source(text: str, names: Names, index: int, platform: Platform, where: Location) -> CopySource:
    if "$" in text:
        raise DockerfileError(
            f"variables are not expanded in --from={text}",
            where=where,
            hint=f"name a stage for it above: FROM {text} AS source, then COPY --from=source",
        )
    if text.isdecimal():
        number = int(text)
        if number >= index:
            raise DockerfileError(
                f"invalid stage index {number}",
                where=where,
                hint=f"this is stage {index}; only earlier ones can be copied from",
            )
        return StageSource(number)
    return _named(text, names, index, platform, where, "copy")


def _named(text: str, names: Names, index: int, platform: Platform, where: Location, verb: str) -> CopySource:
    """An earlier stage, a named context or an image; ``verb`` is what is done from it."""
    name = text.lower()
    earlier = names.stage_before(name, index)
    if earlier is not None:
        return StageSource(earlier)
    if name == names.stages[index]:
        raise DockerfileError(f"circular dependency detected on stage: {name}", where=where)
    context = names.context(text, platform)
    if context is not None:
        return context
    if name in names.stages:
        current = names.stages[index] or str(index)
        if names.leads_to(names.stages.index(name, index), index):
            raise DockerfileError(
                f"circular dependency detected on stage: {current}",
                where=where,
                hint=f"{name} takes something from {current}, at first or second hand",
            )
        raise DockerfileError(
            f'cannot {verb} from stage "{name}", it needs to be defined before current stage "{current}"', where=where
        )
    return ImageSource(text, platform)
