"""Plans and walks Dockerfile texts without images or files."""

from collections.abc import Mapping

from fswatch_builder.build.planner import PlanOptions, plan
from fswatch_builder.build.state import SCRATCH, StageState, begin, inherit
from fswatch_builder.build.steps import translate
from fswatch_builder.dockerfile.parser import parse
from fswatch_builder.model.image import RunConfig
from fswatch_builder.model.plan import Plan, StageSource
from fswatch_builder.model.platform import Platform
from fswatch_builder.model.sandbox import SandboxOptions
from fswatch_builder.model.step import Action, RootfsStep, RunAction, Step

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")


def planned(
    text: str,
    *,
    target: str | None = None,
    args: Mapping[str, str] | None = None,
    contexts: Mapping[str, str] | None = None,
    platform: Platform = AMD64,
    triggers: Mapping[int, tuple[str, ...]] | None = None,
    sandbox: SandboxOptions = SandboxOptions(),  # noqa: B008 - it is frozen
) -> Plan:
    options = PlanOptions(platform, AMD64, target, args or {}, contexts or {}, triggers or {}, sandbox=sandbox)
    return plan(parse(text.encode(), "Dockerfile"), options)


def walked(
    text: str,
    *,
    base: RunConfig = SCRATCH,
    args: Mapping[str, str] | None = None,
    target: str | None = None,
    sandbox: SandboxOptions = SandboxOptions(),  # noqa: B008 - it is frozen
) -> tuple[list[Step], StageState]:
    """The steps and the end of the target's stages; every image a stage starts from is ``base``."""
    images = dict.fromkeys(range(text.upper().count("FROM ")), base.on_build)
    the_plan = planned(text, args=args, target=target, triggers=images, sandbox=sandbox)
    states: dict[int, StageState] = {}
    steps: list[Step] = []
    for stage in the_plan.stages:
        parent = states[stage.base.index] if isinstance(stage.base, StageSource) else None
        state = inherit(parent) if parent else begin(base)
        steps = []
        for instruction in stage.instructions:
            step, state = translate(instruction, state, stage, the_plan)
            steps.append(step)
        states[stage.index] = state
    return steps, state


def config(text: str, **how: object) -> RunConfig:
    return walked(text, **how)[1].config  # type: ignore[arg-type]


def created_by(text: str, **how: object) -> list[str]:
    return [step.created_by for step in walked(text, **how)[0] if step.created_by is not None]  # type: ignore[arg-type]


def actions(text: str, **how: object) -> list[Action]:
    return [step.action for step in walked(text, **how)[0] if isinstance(step, RootfsStep)]  # type: ignore[arg-type]


def run_env(text: str, **how: object) -> dict[str, str]:
    """The environment of the last RUN."""
    runs = [action for action in actions(text, **how) if isinstance(action, RunAction)]
    return dict(item.split("=", 1) for item in (*runs[-1].env, *runs[-1].proxies))
