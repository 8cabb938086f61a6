"""Which images are looked up, and what is said of one that is not there."""

from typing import Any

import pytest

from fswatch_builder.build.planner import PlanOptions
from fswatch_builder.build.preparation import prepare, with_images
from fswatch_builder.build.progress import Steps
from fswatch_builder.dockerfile import parse
from fswatch_builder.errors import BaseImageError, Location
from fswatch_builder.model.image import Image, RunConfig
from fswatch_builder.model.plan import Stage
from tests.support.builds import Recorder
from tests.unit.build.planning import AMD64

OPTIONS = PlanOptions(AMD64, AMD64)


def asked(text: str, **triggers: tuple[str, ...]) -> list[str]:
    """The names that are looked up, in order; the images have these triggers."""
    names: list[str] = []

    def find(stage: Stage, base: object) -> Image:
        names.append(stage.base_text)
        return Image(AMD64, RunConfig(on_build=triggers.get(stage.base_text, ())))

    with_images(parse(text.encode(), "Dockerfile"), OPTIONS, find)
    return names


def test_only_images_of_stages_that_are_needed_are_asked_for() -> None:
    assert asked("FROM a AS x\nFROM b AS y\nFROM x\nFROM scratch\nCOPY --from=x / /\n") == ["a"]


def test_a_trigger_may_need_a_stage_whose_image_has_triggers_of_its_own() -> None:
    text = "FROM a AS x\nFROM b AS y\nFROM c\n"
    assert asked(text, c=("COPY --from=y / /",), b=("COPY --from=x / /",)) == ["c", "b", "a"]


def test_an_image_that_two_stages_start_from_is_asked_for_for_each() -> None:
    assert asked("FROM a AS x\nFROM a\nCOPY --from=x / /\n") == ["a", "a"]


class Nothing:
    """Sources that have no image."""

    def knows(self, *_: Any) -> bool:
        return False

    def image(self, *_: Any) -> Image:
        raise BaseImageError("there is none", hint="look elsewhere")


@pytest.mark.parametrize(
    ("text", "hint", "line"),
    [
        ("FROM scratch AS builder\nFROM buildr\n", "did you mean the stage builder?", 2),
        ("FROM scratch AS A\nFROM A\n", "did you mean the stage a?", 2),
        ("FROM alpine\n", "look elsewhere", 1),
        ("FROM other\nFROM scratch AS others\nCOPY --from=0 / /\n", "look elsewhere", 1),
    ],
)
def test_a_base_that_is_not_there_is_told_at_its_from(text: str, hint: str, line: int) -> None:
    with pytest.raises(BaseImageError, match="there is none") as caught:
        prepare(parse(text.encode(), "Dockerfile"), OPTIONS, Nothing(), Steps(Recorder()))  # type: ignore[arg-type]
    assert caught.value.hint == hint
    assert caught.value.where is not None
    assert (caught.value.where.line, type(caught.value.where)) == (line, Location)
