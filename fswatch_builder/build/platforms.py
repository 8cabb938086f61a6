"""Several platforms in one build: their plans become one, in which a stage that is the same for all is there once."""

from collections.abc import Mapping
from typing import Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from fswatch_builder.errors import UsageError
from fswatch_builder.model.plan import Base, CopySource, Plan, Scratch, Stage, StageSource
from fswatch_builder.model.platform import Platform

#: ARGs that tell one target from another.
_TARGET: Final = frozenset({"TARGETPLATFORM", "TARGETOS", "TARGETARCH", "TARGETVARIANT"})

_S = TypeVar("_S", Base, CopySource, CopySource | Scratch)


class Targets(Struct, frozen=True):
    """What a build has to do: the stages of ``plan``, each after those it needs; and which of them is wanted for which
    platform, in the order in which they were asked for.
    """

    plan: Plan
    stages: Mapping[Platform, Stage]


def together(plans: Mapping[Platform, Plan]) -> Targets:
    """One plan of several. Stages get new indexes; what is told of them says their platform, if there are several.

    Two stages are the same if they start from the same, for the same platform, and their lines are, and all that they
    can see of the build arguments: so a stage for the machine that builds, which every platform takes something from,
    is built once. One that asks for TARGETARCH is another one for each. Raises UsageError.
    """
    epochs = {plan.source_date_epoch for plan in plans.values()}
    if len(epochs) > 1:
        raise UsageError("SOURCE_DATE_EPOCH is not the same for all platforms", hint="give it a value with --build-arg")
    merged: list[Stage] = []
    wanted: dict[Platform, Stage] = {}
    for platform, plan in plans.items():
        places: dict[int, int] = {}
        for stage in plan.stages:
            found = _placed(stage, places, len(merged))
            if len(plans) > 1:
                found = replace(found, prefix=f"{_shown(platform, stage)} ")
            same = [other for other in merged if _is_same(other, found)]
            if not same:
                merged.append(found)
            places[stage.index] = (same or [found])[0].index
        wanted[platform] = merged[places[plan.target.index]]
    first = next(iter(plans.values()))
    return Targets(replace(first, stages=tuple(merged)), wanted)


def _placed(stage: Stage, places: Mapping[int, int], index: int) -> Stage:
    def moved(source: _S) -> _S | StageSource:
        return StageSource(places[source.index]) if isinstance(source, StageSource) else source

    return replace(
        stage,
        index=index,
        base=moved(stage.base),
        sources={text: moved(source) for text, source in stage.sources.items()},
        mount_sources={text: moved(source) for text, source in stage.mount_sources.items()},
    )


def _is_same(one: Stage, other: Stage) -> bool:
    return replace(one, index=other.index, prefix=other.prefix) == other


def _shown(platform: Platform, stage: Stage) -> str:
    """As BuildKit shows it: the stage's platform, and that of the target if it asks for it: ``linux/amd64->arm64``."""
    if stage.platform == platform or not _TARGET & set(stage.args):
        return str(stage.platform)
    return f"{stage.platform}->{platform.architecture}"
