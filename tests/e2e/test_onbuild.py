"""ONBUILD in whole builds: triggers of an image in the store, of a stage, and those that need a stage of their own."""

import pytest

from fswatch_builder.build.events import StepStarted
from fswatch_builder.errors import DockerfileError
from tests.support.builds import Result, Workshop

pytestmark = pytest.mark.root


def titles(result: Result) -> list[str]:
    return [
        event.title for event in result.recorder.events if isinstance(event, StepStarted) and event.stage != "internal"
    ]


def made(workshop: Workshop, dockerfile: str, name: str) -> None:
    from fswatch_builder.oci.reference import Reference

    workshop.build(dockerfile, names=(Reference.parse(name),))


def test_a_trigger_of_an_image_runs_in_its_child_and_never_again(workshop: Workshop) -> None:
    made(workshop, "FROM base\nONBUILD RUN echo child >>/ran\nONBUILD ENV T=1\nRUN echo own >>/ran\n", "parent")
    child = workshop.build("FROM parent\nRUN echo $T >/t\n")
    assert titles(child) == ["FROM parent", "ONBUILD RUN echo child >>/ran", "ONBUILD ENV T=1", "RUN echo $T >/t"]
    assert child.text(child.layers[-1], "t") == "1\n"
    assert child.text(child.layers[-2], "ran") == "own\nchild\n"
    assert child.built.image.config.on_build == ()
    made(workshop, "FROM parent\n", "child")
    grandchild = workshop.build("FROM child\nRUN cat /ran\n")
    assert grandchild.recorder.printed() == "own\nchild\n"


def test_g12_a_stage_is_built_for_the_trigger_of_a_base_alone(workshop: Workshop) -> None:
    made(workshop, "FROM base\nONBUILD COPY --from=src /made /taken\n", "parent")
    result = workshop.build("FROM base AS src\nRUN echo x >/made\nFROM base AS unused\nRUN false\nFROM parent\n")
    assert result.text(result.layers[-1], "taken") == "x\n"


def test_a_trigger_that_fails_is_told_at_its_from(workshop: Workshop) -> None:
    made(workshop, "FROM base\nONBUILD COPY --from=nope:x/y /a /b\nONBUILD COPY missing /\n", "parent")
    with pytest.raises(Exception, match="nope") as caught:
        workshop.build("FROM base AS a\nFROM parent\n")
    assert caught.value.where.line == 2  # type: ignore[attr-defined]


def test_an_image_with_a_trigger_that_nobody_understands_is_refused(workshop: Workshop) -> None:
    from msgspec.structs import replace

    from fswatch_builder.model.image import Image
    from fswatch_builder.model.platform import Platform
    from fswatch_builder.oci.reference import Reference
    from fswatch_builder.oci.store import Store

    with Store.open(str(workshop.store)) as store:
        image = Image(Platform.host())
        bad = image.with_config(replace(image.config, on_build=("FROM x\nRUN y",)))
        store.tag(Reference.parse("bad"), store.put_image(bad), bad.platform)
    with pytest.raises(DockerfileError, match="the ONBUILD trigger 'FROM x'") as caught:
        workshop.build("FROM bad\n")
    assert caught.value.where is not None
    assert caught.value.where.line == 1
