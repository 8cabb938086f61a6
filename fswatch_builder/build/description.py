"""What a Dockerfile offers: its stages (``--call=targets``), and what one of them takes (``--call=outline``)."""

import re
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from fswatch_builder.build.configure import configure
from fswatch_builder.build.stages import find_target, split
from fswatch_builder.build.state import SCRATCH, StageState, begin, inherit
from fswatch_builder.build.steps import translate
from fswatch_builder.errors import Location
from fswatch_builder.model.instruction import Arg, Dockerfile, Env, From, Instruction
from fswatch_builder.model.mount import CacheMount, Mount, SecretMount, SshMount
from fswatch_builder.model.plan import Plan, Stage, StageSource
from fswatch_builder.model.step import RootfsStep, RunAction

_NAME = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")


class Target(Struct, frozen=True):
    """A stage that can be asked for; the one that is built if none is asked for is the ``default``."""

    name: str
    description: str
    base: str
    platform: str
    default: bool
    where: Location


class Argument(Struct, frozen=True):
    """An ARG that a stage, or one it needs, makes use of. ``value``: as things stand."""

    name: str
    value: str
    description: str
    where: Location


class Supplied(Struct, frozen=True):
    """A secret or an SSH agent that a RUN of the stage, or of one it needs, mounts."""

    name: str
    required: bool
    where: Location


class MountedCache(Struct, frozen=True):
    """A cache that a RUN of the stage, or of one it needs, mounts."""

    id: str
    where: Location


class Outline(Struct, frozen=True):
    """A stage and what it takes."""

    name: str
    description: str
    arguments: tuple[Argument, ...]
    secrets: tuple[Supplied, ...] = ()
    agents: tuple[Supplied, ...] = ()
    caches: tuple[MountedCache, ...] = ()


def targets(dockerfile: Dockerfile) -> tuple[Target, ...]:
    """All stages, in the order of the file."""
    starts = [start for start, _ in split(dockerfile)]
    return tuple(
        Target(
            start.name or "",
            _description(start.comments, start.name or ""),
            start.base.text,
            start.platform.text if start.platform else "",
            start is starts[-1],
            start.where,
        )
        for start in starts
    )


def outline(dockerfile: Dockerfile, plan: Plan, target: str | None) -> Outline:
    """What the target of the plan takes. An ARG that its stage gives a value goes before the global one."""
    parts = split(dockerfile)
    start, _ = parts[find_target(parts, target)]
    globals_ = _globals(dockerfile, plan)
    found: dict[str, Argument] = {}
    for stage in reversed(plan.stages):
        own = _own(stage, plan)
        used = {*own, *_used(parts[stage.index][0], stage, globals_)}
        for name in used:
            argument = own.get(name) or (globals_[name][0] if name in globals_ else None)
            if argument is not None:
                found.setdefault(name, argument)
    mounts = _mounts(plan)
    arguments = sorted(found.values(), key=lambda one: (one.where.line, one.where.column))
    return Outline(
        start.name or "",
        _description(start.comments, start.name or ""),
        tuple(arguments),
        tuple(_supplied(mounts, SecretMount)),
        tuple(_supplied(mounts, SshMount)),
        tuple(MountedCache(mount.id, where) for mount, where in mounts if isinstance(mount, CacheMount)),
    )


def _supplied(mounts: Iterable[tuple[Mount, Location]], kind: type[SecretMount] | type[SshMount]) -> Iterator[Supplied]:
    return (Supplied(mount.id, mount.required, where) for mount, where in mounts if isinstance(mount, kind))


def _mounts(plan: Plan) -> list[tuple[Mount, Location]]:
    """Those with an ID, each once, at its first RUN in the file."""
    found: dict[tuple[type[Mount], str], tuple[Mount, Location]] = {}
    states: dict[int, StageState] = {}
    for stage in plan.stages:
        state = inherit(states[stage.base.index]) if isinstance(stage.base, StageSource) else begin(SCRATCH)
        for instruction in stage.instructions:
            step, state = translate(instruction, state, stage, plan)
            if isinstance(step, RootfsStep) and isinstance(step.action, RunAction):
                for mount in step.action.mounts:
                    if isinstance(mount, SecretMount | SshMount | CacheMount):
                        found.setdefault((type(mount), mount.id), (mount, instruction.where))
        states[stage.index] = state
    return list(found.values())


def _globals(dockerfile: Dockerfile, plan: Plan) -> dict[str, tuple[Argument, frozenset[str]]]:
    """Those above the first FROM, each with the names that its default is made of."""
    found: dict[str, tuple[Argument, frozenset[str]]] = {}
    for one in dockerfile.instructions:
        if not isinstance(one, Arg):
            break
        for word, default in one.items:
            given = default is None or word.text in plan.build_args
            needs: frozenset[str] = frozenset() if given else frozenset(_NAME.findall(str(default)))
            found[word.text] = _argument(one, word.text, plan.global_args.get(word.text, ""), word.where), needs
    return found


def _own(stage: Stage, plan: Plan) -> dict[str, Argument]:
    """Those of a stage that have a value there, or have none anywhere."""
    found: dict[str, Argument] = {}
    state = begin(SCRATCH)
    for one in stage.instructions:
        if isinstance(one, Arg | Env):
            state, _ = configure(one, state, stage, plan)
        if isinstance(one, Arg):
            for word, default in one.items:
                if default is not None or word.text not in plan.global_args:
                    value = state.scope.variables.get(word.text, "")
                    found[word.text] = _argument(one, word.text, value, word.where)
    return found


def _used(start: From, stage: Stage, globals_: Mapping[str, tuple[Argument, frozenset[str]]]) -> set[str]:
    """Names of global ones that a stage has a use for: in its FROM, by a bare ARG, or for the default of another."""
    waiting = [*_NAME.findall(start.base.text), *_bare(stage.instructions)]
    if start.platform is not None:
        waiting += _NAME.findall(start.platform.text)
    used: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in used:
            used.add(name)
            waiting += globals_[name][1] if name in globals_ else ()
    return used


def _bare(instructions: Iterable[Instruction]) -> Iterator[str]:
    for one in instructions:
        if isinstance(one, Arg):
            yield from (word.text for word, default in one.items if default is None)


def _argument(arg: Arg, name: str, value: str, where: Location) -> Argument:
    return Argument(name, value, _description(arg.comments, name), where)


def _description(comments: Iterable[str], name: str) -> str:
    """The first comment line that begins with the name says the rest of it."""
    described = (comment.removeprefix(f"{name} ") for comment in comments if comment.startswith(f"{name} "))
    return next(described, "").strip() if name else ""
