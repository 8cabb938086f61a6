"""Options of build that change what is built: in whole builds, by their effect."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fswatch_builder.build.events import StepNote, WarningFound
from fswatch_builder.errors import BuildContextError, DockerfileError, UsageError
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci.store import Store
from tests.support.builds import Workshop, args
from tests.support.cli import fswatch_builder
from tests.support.images import make_image, write_layout
from tests.support.registry import FakeRegistry

pytestmark = pytest.mark.root


def test_annotations_are_the_manifests_and_survive_an_output(workshop: Workshop, tmp_path: Path) -> None:
    workshop.write("Dockerfile", "FROM scratch\n")
    fswatch_builder(
        "build",
        f"--store={workshop.store}",
        "--annotation=a.b=c=d",
        "--annotation=manifest:e=f",
        "--annotation=manifest[linux/s390x]:g=h",
        f"--output=type=oci,dest={tmp_path}/out,tar=false",
        str(workshop.context),
    )
    index = json.loads((tmp_path / "out/index.json").read_text())
    digest = index["manifests"][0]["digest"].removeprefix("sha256:")
    assert json.loads((tmp_path / "out/blobs/sha256" / digest).read_text())["annotations"] == {"a.b": "c=d", "e": "f"}


def test_a_timestamp_bounds_all_times_and_no_arg_sees_it(workshop: Workshop) -> None:
    text = "FROM base\nARG SOURCE_DATE_EPOCH\nRUN echo [$SOURCE_DATE_EPOCH] >/f\nWORKDIR /w\n"
    result = workshop.build(text, epoch=1_000_000, build_args=args(SOURCE_DATE_EPOCH="2000000"))
    moment = datetime.fromtimestamp(1_000_000, UTC)
    image = result.built.image
    assert image.created == moment
    assert {line.created for line in image.history[-3:]} == {moment}
    assert {member.mtime for layer in result.layers for member in result.members(layer)} == {1_000_000}
    assert result.text(result.layers[0], "f") == "[2000000]\n"


@pytest.mark.parametrize("how", ["argument", "global ARG"])
def test_source_date_epoch_gives_equal_images_from_two_stores(workshop: Workshop, tmp_path: Path, how: str) -> None:
    workshop.write("f")
    given = args(SOURCE_DATE_EPOCH="1000000") if how == "argument" else {}
    head = "" if how == "argument" else "ARG SOURCE_DATE_EPOCH=1000000\n"
    text = f"{head}FROM base\nCOPY f /f\nRUN echo x >/x\nWORKDIR /w\nENV a=b\n"
    first = workshop.build(text, build_args=given)
    second = workshop.build(text, build_args=given, store=tmp_path / "other")
    assert first.built.manifest.digest == second.built.manifest.digest


def test_source_date_epoch_of_the_environment(workshop: Workshop, tmp_path: Path) -> None:
    workshop.write("Dockerfile", "FROM scratch\nENV a=b\n")
    fswatch_builder(
        "build",
        f"--store={workshop.store}",
        f"--output=type=oci,dest={tmp_path}/out,tar=false",
        str(workshop.context),
        env={"SOURCE_DATE_EPOCH": "86400"},
    )
    blobs = [json.loads(path.read_bytes()) for path in (tmp_path / "out/blobs/sha256").iterdir()]
    (config,) = (blob for blob in blobs if "rootfs" in blob)
    assert config["created"] == "1970-01-02T00:00:00Z"
    assert config["history"][0]["created"] == "1970-01-02T00:00:00Z"


def test_stages_named_are_done_again_and_the_others_are_not(workshop: Workshop) -> None:
    text = "FROM base AS a\nRUN echo a >/a\nFROM base AS B\nCOPY --from=a /a /a\nRUN echo b >/b\n"
    workshop.build(text)
    again = workshop.build(text, uncached_stages=frozenset({"b"}))
    assert again.recorder.statuses() == ["cached", "done", "done"]
    with pytest.raises(UsageError, match="--no-cache-filter bb: no stage has this name") as caught:
        workshop.build(text, uncached_stages=frozenset({"bb"}))
    assert caught.value.hint == "did you mean b?"


def test_another_ignore_file(workshop: Workshop, tmp_path: Path) -> None:
    workshop.write("a")
    workshop.write("b")
    workshop.write(".dockerignore", "a\n")
    (tmp_path / "mine").write_text("b\n")
    result = workshop.build("FROM base\nCOPY a b* /d/\n", ignorefile=str(tmp_path / "mine"))
    assert result.names() == [["d", "d/a"]]
    with pytest.raises(BuildContextError, match="there is no ignore file"):
        workshop.build("FROM base\nCOPY a /d/\n", ignorefile=str(tmp_path / "gone"))


def test_build_arguments_from_a_file(workshop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "args").write_text("# comment\n\nA=1\nB=x y\nC\n D=4\n")
    workshop.write("Dockerfile", "FROM scratch\nARG A\nARG B\nARG C\nLABEL a=$A b=$B c=$C\n")
    done = fswatch_builder(
        "build",
        f"--store={workshop.store}",
        f"--build-arg-file={tmp_path}/args",
        "--build-arg=A=2",
        f"--output=type=oci,dest={tmp_path}/out,tar=false",
        str(workshop.context),
        env={"C": "3"},
    )
    assert "[ D]" in done.stderr  # a name with a blank before it is asked for by no ARG
    blobs = [json.loads(path.read_bytes()) for path in (tmp_path / "out/blobs/sha256").iterdir()]
    (config,) = (blob for blob in blobs if "rootfs" in blob)
    assert config["config"]["Labels"] == {"a": "2", "b": "x y", "c": "3"}


def test_pull_asks_the_registry_again(workshop: Workshop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    fake = FakeRegistry()
    try:
        fake.add("app", "1", make_image(config={"Labels": {"n": "1"}}))
        text = f"FROM {fake.host}/app:1\n"
        assert workshop.build(text).built.image.config.labels == {"n": "1"}
        fake.add("app", "1", make_image(config={"Labels": {"n": "2"}}))
        assert workshop.build(text).built.image.config.labels == {"n": "1"}
        assert workshop.build(text, refresh=True).built.image.config.labels == {"n": "2"}
        assert workshop.build(text).built.image.config.labels == {"n": "2"}
    finally:
        fake.close()


def test_error_true_ends_the_build_before_its_first_step(workshop: Workshop) -> None:
    with pytest.raises(DockerfileError, match="lint violation found for rules: JSONArgsRecommended, StageNameCasing"):
        workshop.build("# check=error=true\nFROM base AS A\nRUN exit 3\nCMD x\n")
    muted = args(BUILDKIT_DOCKERFILE_CHECK="skip=all;error=true")
    workshop.build("# check=error=true\nFROM base AS A\nCMD x\n", build_args=muted)


def test_findings_are_told_before_an_error_in_the_plan(workshop: Workshop) -> None:
    from fswatch_builder.build.builder import build
    from fswatch_builder.build.request import Request
    from tests.support.builds import Recorder

    path = workshop.write("Dockerfile", "FROM base AS A\nCOPY --from=7 /a /b\n")
    recorder = Recorder()
    request = Request(str(workshop.context), str(path), contexts={"base": str(workshop.base)})
    with Store.open(str(workshop.store)) as store, pytest.raises(DockerfileError, match="invalid stage index 7"):
        build(request, store, recorder)
    assert [event.rule for event in recorder.events if isinstance(event, WarningFound)] == ["StageNameCasing"]


def test_a_base_for_another_platform_warns_and_the_image_is_for_the_one_asked_for(
    workshop: Workshop, tmp_path: Path
) -> None:
    layout = write_layout(tmp_path / "layout", {"x": make_image(architecture="s390x")})
    contexts = {"other": f"oci-layout://{layout}"}
    result = workshop.build("FROM other\nENV a=b\n", contexts=contexts, platforms=(Platform.host(),))
    warned = [event for event in result.recorder.events if isinstance(event, WarningFound)]
    assert [(event.rule, event.where.line) for event in warned] == [("InvalidBaseImagePlatform", 1)]
    assert result.built.image.platform == Platform.host()


def test_a_source_that_the_ignore_file_hides_names_the_line_that_does(workshop: Workshop) -> None:
    workshop.write("a/secret.txt")
    workshop.write(".dockerignore", "*.log\n**/secret*\n!a/other\n")
    with pytest.raises(BuildContextError, match=r'"/a/secret\.txt": not found') as caught:
        workshop.build("FROM base\nCOPY a/secret.txt /\n")
    assert (caught.value.hint or "").endswith("but the ignore file excludes it: **/secret*")
    assert caught.value.where is not None
    assert caught.value.where.line == 2


def test_f8_a_pattern_that_matches_nothing_is_told_and_no_error(workshop: Workshop) -> None:
    workshop.write("a.log")
    workshop.write("b.log")
    workshop.write(".dockerignore", "*.log\n")
    result = workshop.build("FROM base\nCOPY *.log no* Dockerfile /d/\n")
    notes = [event.text for event in result.recorder.events if isinstance(event, StepNote)]
    assert notes == ["*.log matches nothing: the ignore file excludes the 2 that it names", "no* matches nothing"]
    assert result.names() == [["d", "d/Dockerfile"]]
