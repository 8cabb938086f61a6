"""What is known before the first step: the plan, the images its stages start from, and what the checks say of it.

A base image may have triggers (ONBUILD), which are instructions of the stage that starts from it and may need stages
that nothing else does. So images are looked up and the plan is made again, until it asks for no image that is unknown.
"""

from collections.abc import Callable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from fswatch_builder.build.failures import explained
from fswatch_builder.build.planner import PlanOptions, plan
from fswatch_builder.build.progress import Steps
from fswatch_builder.build.sources import Sources
from fswatch_builder.errors import BaseImageError, RegistryError
from fswatch_builder.model.image import Image
from fswatch_builder.model.instruction import Dockerfile, From
from fswatch_builder.model.plan import ImageSource, NamedContext, Plan, Stage, StageSource


class Prepared(Struct, frozen=True):
    """A plan, and the images that its stages start from by their indexes; one that is not known is left out."""

    plan: Plan
    images: Mapping[int, Image]

    @property
    def unknown(self) -> frozenset[int]:
        """Stages that begin, at first or second hand, with an image that is not known."""
        found: set[int] = set()
        for stage in self.plan.stages:
            match stage.base:
                case StageSource(index=index) if index in found:
                    found.add(stage.index)
                case ImageSource() | NamedContext() if stage.index not in self.images:
                    found.add(stage.index)
                case _:
                    pass
        return frozenset(found)


def prepare(dockerfile: Dockerfile, options: PlanOptions, sources: Sources, steps: Steps) -> Prepared:
    """For a build: images are fetched. Raises DockerfileError, BaseImageError, RegistryError."""

    def fetched(stage: Stage, base: ImageSource | NamedContext) -> Image:
        if sources.knows(base):
            return sources.image(base)
        with steps.internal(f"load metadata for {stage.base_text}") as progress:
            try:
                image = sources.image(base)
            except (BaseImageError, RegistryError) as error:
                error.hint = _nearest_stage(stage, dockerfile) or error.hint
                raise error.at(stage.where) from error
            except Exception as error:
                raise explained(error, stage.where) from error
            progress.done("done")
            return image

    return with_images(dockerfile, options, fetched)


def with_images(
    dockerfile: Dockerfile,
    options: PlanOptions,
    find: Callable[[Stage, ImageSource | NamedContext], Image | None],
) -> Prepared:
    """The plan, with the images that ``find`` knows; it is asked once a stage. Raises DockerfileError."""
    images: dict[int, Image] = {}
    asked: set[int] = set()
    while True:
        the_plan = plan(dockerfile, replace(options, triggers=_triggers(images)))
        starts = [
            (stage, stage.base)
            for stage in the_plan.stages
            if stage.index not in asked and isinstance(stage.base, ImageSource | NamedContext)
        ]
        if not starts:
            return Prepared(the_plan, images)
        for stage, base in starts:
            asked.add(stage.index)
            image = find(stage, base)
            if image is not None:
                images[stage.index] = image


def _triggers(images: Mapping[int, Image]) -> dict[int, tuple[str, ...]]:
    return {index: image.config.on_build for index, image in images.items()}


def _nearest_stage(stage: Stage, dockerfile: Dockerfile) -> str | None:
    """Whoever misspells a stage asks for an image."""
    from difflib import get_close_matches

    froms = [one for one in dockerfile.instructions if isinstance(one, From)][: stage.index]
    near = get_close_matches(stage.base_text.lower(), [one.name for one in froms if one.name], 1)
    return f"did you mean the stage {near[0]}?" if near else None
