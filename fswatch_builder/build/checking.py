"""The build checks without a build: nothing is fetched, nothing is run, nothing is written."""

import os
from collections.abc import Sequence

from msgspec import Struct

from fswatch_builder.build.planner import PlanOptions
from fswatch_builder.build.preparation import Prepared, with_images
from fswatch_builder.build.review import review, violation
from fswatch_builder.errors import BuildError
from fswatch_builder.model.image import DEFAULT_PATH, Image, RunConfig
from fswatch_builder.model.instruction import (
    Dockerfile,
    Warning,  # noqa: A004 - the language's own word
)
from fswatch_builder.model.plan import ImageSource, NamedContext, Stage, StageSource
from fswatch_builder.oci.reference import IMAGE_SCHEME, Reference
from fswatch_builder.oci.store import Store


class Findings(Struct, frozen=True):
    """Warnings in the order of the file, and the error that ended the look, if one did.

    ``unknown``: images that are not here, so that nobody can say which variables they define.
    """

    warnings: tuple[Warning, ...] = ()
    error: BuildError | None = None
    unknown: tuple[str, ...] = ()


def check(dockerfile: Dockerfile, options: PlanOptions, ignored: Sequence[bytes], store: Store | None) -> Findings:
    """What a build would be told before its first step. An image counts if ``store`` has it: none is fetched."""
    found = list(dockerfile.warnings)
    unknown: tuple[str, ...] = ()
    try:
        known = with_images(dockerfile, options, lambda stage, base: _image(stage, base, store))
        unknown = _unknown(known)
        found = list(known.plan.warnings)
        found.extend(review(known, ignored))
        if known.plan.checks.fail and found:
            raise violation(found)
    except BuildError as error:
        return Findings(in_order(found), error, unknown)
    return Findings(in_order(found), None, unknown)


def together(found: Sequence[Findings]) -> Findings:
    """Those of several platforms; what is found for all of them is told once."""
    warnings = dict.fromkeys(warning for one in found for warning in one.warnings)
    unknown = dict.fromkeys(name for one in found for name in one.unknown)
    error = next((one.error for one in found if one.error is not None), None)
    return Findings(in_order(list(warnings)), error, tuple(unknown))


def in_order(found: Sequence[Warning]) -> tuple[Warning, ...]:
    """As they stand in the file."""
    return tuple(sorted(found, key=lambda one: (one.where.line, one.where.column)))


def _unknown(prepared: Prepared) -> tuple[str, ...]:
    starts = (stage for stage in prepared.plan.stages if not isinstance(stage.base, StageSource))
    return tuple(dict.fromkeys(stage.base_text for stage in starts if stage.index in prepared.unknown))


def _image(stage: Stage, base: ImageSource | NamedContext, store: Store | None) -> Image | None:
    value = base.value if isinstance(base, NamedContext) else IMAGE_SCHEME + base.reference
    if os.path.isdir(value):
        return Image(stage.platform, RunConfig(env=(DEFAULT_PATH,)))
    if store is None or not value.startswith(IMAGE_SCHEME):
        return None
    try:
        found = store.find(Reference.parse(value.removeprefix(IMAGE_SCHEME)), stage.platform)
    except ValueError:
        return None  # InvalidDefaultArgInFrom, or told by the build
    return None if found is None else store.load_image(found)
