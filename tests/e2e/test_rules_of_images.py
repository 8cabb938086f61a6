"""Rules of the language that only a whole build shows and the tables of other files do not have."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from fswatch_builder.errors import BuildError
from fswatch_builder.model.platform import Platform
from tests.support.builds import Workshop, args
from tests.support.images import digest, layer_of, make_image, member, write_layout

pytestmark = pytest.mark.root


def test_the_ignore_file_hides_nothing_of_a_stage(workshop: Workshop) -> None:
    workshop.write(".dockerignore", "secret\nd\n")
    text = (
        "FROM base AS s\nRUN mkdir /d && echo s >/secret && echo d >/d/f\n"
        "FROM base\nCOPY --from=s /secret /d /x/\nRUN --mount=from=s,source=/d,target=/m cat /m/f\n"
    )
    result = workshop.build(text)
    assert result.names() == [["x", "x/f", "x/secret"]]
    assert result.recorder.printed() == "d\n"


def test_labels_of_the_command_line_come_last_and_have_no_history(workshop: Workshop) -> None:
    image = workshop.build("FROM scratch\nLABEL a=1 b=2\n", labels={"a": "9", "c": "3"}).built.image
    assert image.config.labels == {"a": "9", "b": "2", "c": "3"}
    assert [line.created_by for line in image.history] == ["LABEL a=1 b=2"]


def test_a_user_that_nobody_knows_matters_to_a_run_alone(workshop: Workshop) -> None:
    text = "FROM base\nUSER nobody-here\nENV A=1\n"
    assert workshop.build(text).built.image.config.user == "nobody-here"
    with pytest.raises(BuildError, match="unable to find user 'nobody-here'"):
        workshop.build(f"{text}RUN true\n")


def test_an_epoch_changes_nothing_of_the_base(workshop: Workshop, tmp_path: Path) -> None:
    image = make_image([layer_of(member("f", b"x"))])  # of 2020, and its history of 2024
    layout = write_layout(tmp_path / "layout", {"x": image})
    result = workshop.build(
        "FROM other\nENV a=b\nWORKDIR /w\n",
        contexts={"other": f"oci-layout://{layout}"},
        build_args=args(SOURCE_DATE_EPOCH="1"),
    )
    built = result.built.image
    old, *new = built.history
    assert old.created is not None
    assert old.created.year == 2024
    assert {line.created for line in new} == {datetime.fromtimestamp(1, UTC)}
    assert str(built.layers[0].descriptor.digest) == digest(image.layers[0])
    assert {made.mtime for made in result.members(built.layers[1])} == {1}


def test_an_image_is_for_what_its_base_is_for_unless_a_platform_was_asked_for(
    workshop: Workshop, tmp_path: Path
) -> None:
    base = make_image([layer_of(member("f", b"x"))], architecture="riscv64")
    layout = write_layout(tmp_path / "layout", {"x": base})
    contexts = {"other": f"oci-layout://{layout}"}
    text = "FROM other AS a\nENV a=b\nFROM a\nLABEL a=b\n"
    riscv64, arm64 = Platform("linux", "riscv64"), Platform("linux", "arm64")
    assert workshop.build(text, contexts=contexts).built.image.platform == riscv64
    assert workshop.build(text, contexts=contexts, platforms=(arm64,)).built.image.platform == arm64
