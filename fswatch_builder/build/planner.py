"""From a parsed Dockerfile to a plan: no image is looked at, no file is read."""

from collections.abc import Mapping, Sequence
from itertools import chain, takewhile

from msgspec import Struct, field
from msgspec.structs import replace

from fswatch_builder.build import stages
from fswatch_builder.build.environment import BUILDER_ARGS, PROXY_NAMES, add_global, platform_args
from fswatch_builder.build.from_checks import from_warnings
from fswatch_builder.errors import DockerfileError, UsageError
from fswatch_builder.model.epoch import parse_epoch
from fswatch_builder.model.instruction import (
    Arg,
    Dockerfile,
    From,
    Instruction,
    Run,
    Warning,  # noqa: A004 - the language's own word
)
from fswatch_builder.model.plan import Plan, Stage
from fswatch_builder.model.platform import Platform
from fswatch_builder.model.sandbox import SandboxOptions

EPOCH = "SOURCE_DATE_EPOCH"
#: Its value for the time of the build context.
CONTEXT_EPOCH = "context"


class PlanOptions(Struct, frozen=True):
    """What the command line says about the plan."""

    platform: Platform
    build_platform: Platform
    target: str | None = None
    build_args: Mapping[str, str] = field(default_factory=dict)
    contexts: Mapping[str, str] = field(default_factory=dict)
    triggers: Mapping[int, tuple[str, ...]] = field(default_factory=dict)  # of base images, by the stage's index
    epoch: int | None = None  # goes before SOURCE_DATE_EPOCH
    context_epoch: int | None = None  # when the build context was made, for SOURCE_DATE_EPOCH=context
    every_stage: bool = False  # those that the target does not need too
    sandbox: SandboxOptions = field(default_factory=SandboxOptions)


def plan(dockerfile: Dockerfile, options: PlanOptions) -> Plan:
    """Raises DockerfileError for what is wrong or not supported in the stages the target needs."""
    given = options.build_args
    options = replace(options, build_args=_dated(given, options))
    parts = stages.split(dockerfile)
    wanted = stages.find_target(parts, options.target)
    predefined = platform_args(options.build_platform, options.platform, options.target or parts[-1][0].name)
    defaults = _global_args(dockerfile, predefined, options.build_args)
    global_args = _dated(defaults, options)
    resolved = stages.resolve(dockerfile, global_args, options.contexts, options.platform, options.triggers)
    needed = resolved if options.every_stage else stages.needed(resolved, resolved[wanted])
    for stage in needed:
        for instruction in stage.instructions:
            refuse_unsupported(instruction)
    return Plan(
        stages=needed,
        global_args=global_args,
        build_args=options.build_args,
        escape=dockerfile.escape,
        source_date_epoch=_epoch(options, global_args),
        asks_for_context_epoch=options.epoch is None and CONTEXT_EPOCH in (given.get(EPOCH), defaults.get(EPOCH)),
        warnings=(*dockerfile.warnings, *_from_warnings(dockerfile, global_args, predefined)),
        checks=dockerfile.checks,
        unused_args=_unused(dockerfile, needed, options.build_args),
        sandbox=options.sandbox,
    )


def _dated(args: Mapping[str, str], options: PlanOptions) -> Mapping[str, str]:
    """With the time of the context in the place of the word for it; one without a time leaves the argument unset."""
    if args.get(EPOCH) != CONTEXT_EPOCH:
        return args
    rest = {name: value for name, value in args.items() if name != EPOCH}
    return rest if options.context_epoch is None else rest | {EPOCH: str(options.context_epoch)}


def _global_args(
    dockerfile: Dockerfile, predefined: Mapping[str, str], build_args: Mapping[str, str]
) -> dict[str, str]:
    known = dict(predefined) | {name: build_args[name] for name in predefined if name in build_args}
    for arg in takewhile(lambda one: isinstance(one, Arg), dockerfile.instructions):
        assert isinstance(arg, Arg)
        known = add_global(known, arg, build_args, dockerfile.escape)
    return known


def _from_warnings(
    dockerfile: Dockerfile, global_args: Mapping[str, str], predefined: Mapping[str, str]
) -> tuple[Warning, ...]:
    try:
        defaults = _global_args(dockerfile, predefined, {})
    except DockerfileError:  # such as ${X:?message}: a value has to be given, and was
        defaults = dict(global_args)
    return from_warnings(dockerfile, global_args, defaults)


def _unused(dockerfile: Dockerfile, needed: Sequence[Stage], build_args: Mapping[str, str]) -> tuple[str, ...]:
    """Build arguments for which there is no ARG, neither a global one nor in a stage that is built."""
    known = {EPOCH, *BUILDER_ARGS, *platform_args(Platform.host(), Platform.host(), None)}
    above = takewhile(lambda instruction: not isinstance(instruction, From), dockerfile.instructions)
    for instruction in chain(above, *(stage.instructions for stage in needed)):
        if isinstance(instruction, Arg):
            known.update(name.text for name, _ in instruction.items)
    return tuple(name for name in sorted(build_args) if name not in known and name.upper() not in PROXY_NAMES)


def refuse_unsupported(instruction: Instruction) -> None:
    """What the language has and this builder does not do yet is an error with its name, never ignored."""
    if isinstance(instruction, Run) and instruction.flags:
        flag = next(iter(instruction.flags))
        raise DockerfileError(f"RUN --{flag} is not supported yet", where=instruction.where)


def _epoch(options: PlanOptions, global_args: Mapping[str, str]) -> int | None:
    if options.epoch is not None:
        return options.epoch
    text = options.build_args.get(EPOCH) or global_args.get(EPOCH)
    if not text:
        return None
    try:
        return parse_epoch(text)
    except ValueError as error:
        raise UsageError(
            f"{EPOCH} is {error}",
            hint="use an integer, as `git log -1 --format=%ct` prints it, or context; names are not supported",
        ) from error
