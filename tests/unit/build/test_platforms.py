"""Plans for several platforms become one: what is the same is there once, what is not is told apart."""

from collections.abc import Mapping

import pytest

from fswatch_builder.build.platforms import Targets, together
from fswatch_builder.errors import UsageError
from fswatch_builder.model.plan import StageSource
from fswatch_builder.model.platform import Platform
from tests.unit.build.planning import AMD64, ARM64, planned

CROSS = """
FROM --platform=$BUILDPLATFORM tools AS tools
RUN install
FROM tools AS build
ARG TARGETARCH
RUN compile $TARGETARCH
FROM base
COPY --from=tools /doc /doc
COPY --from=build /app /app
"""


def targets(text: str, *platforms: Platform, args: Mapping[str, str] | None = None) -> Targets:
    return together({platform: planned(text, platform=platform, args=args) for platform in platforms})


def labels(found: Targets) -> list[str]:
    return [stage.prefix + stage.label for stage in found.plan.stages]


def test_a_stage_for_the_machine_that_builds_is_built_once() -> None:
    found = targets(CROSS, AMD64, ARM64)
    assert labels(found) == [
        "linux/amd64 tools",
        "linux/amd64 build",
        "linux/amd64 stage-2",
        "linux/amd64->arm64 build",
        "linux/arm64 stage-2",
    ]
    tools, _, _, build, last = found.plan.stages
    assert build.base == StageSource(tools.index)
    assert last.sources == {"tools": StageSource(tools.index), "build": StageSource(build.index)}


def test_indexes_are_places_and_what_is_needed_comes_before() -> None:
    found = targets(CROSS, ARM64, AMD64, Platform("linux", "s390x"))
    assert [stage.index for stage in found.plan.stages] == list(range(len(found.plan.stages)))
    assert all(max(stage.needs, default=-1) < stage.index for stage in found.plan.stages)
    assert [str(platform) for platform in found.stages] == ["linux/arm64", "linux/amd64", "linux/s390x"]
    assert [stage.platform for stage in found.stages.values()] == list(found.stages)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("FROM --platform=linux/amd64 x\nRUN y\n", 1),
        ("FROM --platform=$BUILDPLATFORM x\nARG BUILDARCH\nRUN y\n", 1),
        ("FROM --platform=$BUILDPLATFORM x\nARG TARGETARCH=same\nRUN y\n", 1),
        ("FROM x\nRUN y\n", 2),
        ("FROM scratch\nCOPY f /f\n", 2),
        ("FROM --platform=linux/amd64 scratch\nCOPY f /f\n", 2),  # scratch is for what is built for
        ("FROM --platform=$BUILDPLATFORM x\nARG TARGETARCH\nRUN y\n", 2),
        ("FROM --platform=$BUILDPLATFORM x-$TARGETARCH\nRUN y\n", 2),
        ("ARG A=$TARGETARCH\nFROM --platform=$BUILDPLATFORM x\nARG A\nRUN y\n", 2),
        ("FROM --platform=$BUILDPLATFORM x\nCOPY --from=image /f /f\n", 2),  # an image to copy from, too
        ("FROM --platform=$BUILDPLATFORM x\nRUN --mount=from=image,target=/m y\n", 2),
    ],
)
def test_stages_are_the_same_if_they_start_alike_and_see_the_same(text: str, count: int) -> None:
    assert len(targets(text, AMD64, ARM64).plan.stages) == count


def test_a_build_argument_makes_them_the_same_again() -> None:
    text = "FROM --platform=$BUILDPLATFORM x\nARG TARGETARCH\nRUN y\n"
    assert len(targets(text, AMD64, ARM64, args={"TARGETARCH": "any"}).plan.stages) == 1


def test_each_target_sees_its_own_platform() -> None:
    found = targets(
        "FROM x\nARG TARGETPLATFORM TARGETVARIANT\nENV p=$TARGETPLATFORM\n", AMD64, Platform("linux", "arm", "v6")
    )
    assert [dict(stage.args) for stage in found.stages.values()] == [
        {"TARGETPLATFORM": "linux/amd64", "TARGETVARIANT": ""},
        {"TARGETPLATFORM": "linux/arm/v6", "TARGETVARIANT": "v6"},
    ]


def test_one_platform_is_named_nowhere() -> None:
    assert labels(targets(CROSS, ARM64)) == ["tools", "build", "stage-2"]


def test_an_epoch_that_differs_is_refused() -> None:
    with pytest.raises(UsageError, match="SOURCE_DATE_EPOCH is not the same"):
        targets("ARG SOURCE_DATE_EPOCH=1${TARGETVARIANT#v}\nFROM x\n", AMD64, Platform("linux", "arm", "v6"))
