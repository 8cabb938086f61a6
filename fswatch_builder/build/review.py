"""A look at all instructions of a plan before the first of them is done.

Variables are replaced and every instruction is understood, so that a wrong last line costs no hour of RUNs; on the way
the checks that need more than the file's text are made. Nothing is read and nothing is run.
"""

from collections.abc import Iterator, Sequence

from fswatch_builder.build.checks import copied_although_ignored, warnings
from fswatch_builder.build.failures import explained
from fswatch_builder.build.preparation import Prepared
from fswatch_builder.build.state import SCRATCH, StageState, begin, inherit
from fswatch_builder.build.steps import translate
from fswatch_builder.errors import DockerfileError, Location
from fswatch_builder.model.instruction import Copy, Warning  # noqa: A004 - the language's own word
from fswatch_builder.model.plan import Plan, Stage, StageSource


def review(prepared: Prepared, ignored: Sequence[bytes]) -> Iterator[Warning]:
    """Findings that are wanted, in the order in which they are come across; ``ignored`` are the ignore file's patterns.

    Raises DockerfileError at the first instruction that is wrong.
    """
    plan = prepared.plan
    states: dict[int, StageState] = {}
    unknown = prepared.unknown
    for stage in plan.stages:
        state = _begin(stage, prepared, states)
        yield from _wanted(_platform(stage, prepared), plan, stage.where)
        for instruction in stage.instructions:
            found = warnings(instruction, state, plan)
            if isinstance(instruction, Copy):
                found += copied_although_ignored(instruction, state, plan, ignored)
            if stage.index in unknown:
                found = [one for one in found if one.rule != "UndefinedVar"]
            yield from _wanted(found, plan, instruction.where)
            try:
                _, state = translate(instruction, state, stage, plan)
            except DockerfileError as error:
                raise explained(error, instruction.where) from error
        states[stage.index] = state


def violation(found: list[Warning]) -> DockerfileError:
    """What ends a build with ``check=error=true``."""
    rules = ", ".join(sorted({warning.rule for warning in found}))
    return DockerfileError(
        f"lint violation found for rules: {rules}",
        where=min((warning.where for warning in found), key=lambda where: where.line),
        hint="mend it, or name the rule in a line `# check=skip=RULE` above the instruction",
    )


def _wanted(found: list[Warning], plan: Plan, where: Location) -> Iterator[Warning]:
    return (warning for warning in found if plan.checks.reports(warning.rule, where.line))


def _begin(stage: Stage, prepared: Prepared, states: dict[int, StageState]) -> StageState:
    if isinstance(stage.base, StageSource):
        return inherit(states[stage.base.index])
    image = prepared.images.get(stage.index)
    return begin(SCRATCH if image is None else image.config, "" if image is None else image.author)


def _platform(stage: Stage, prepared: Prepared) -> list[Warning]:
    image = prepared.images.get(stage.index)
    if image is None:
        return []
    offered, wanted = image.platform, stage.platform
    if (offered.os, offered.architecture) == (wanted.os, wanted.architecture):
        return []
    message = (
        f'Base image {stage.base_text} was pulled with platform "{offered}", expected "{wanted}" for current build'
    )
    return [Warning("InvalidBaseImagePlatform", message, stage.where)]
