"""The stages of a build for several machines: what is done once, what for each, what needs an emulator."""

import json
import tarfile
from pathlib import Path

import pytest

from fswatch_builder.build.events import StepFinished, StepStarted, WarningFound
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci.store import Store
from tests.support.builds import Result, Workshop, args
from tests.support.cli import fswatch_builder
from tests.support.images import make_image, make_index, write_layout

pytestmark = pytest.mark.root

AMD64, ARM64, S390X = Platform("linux", "amd64"), Platform("linux", "arm64"), Platform("linux", "s390x")
BOTH = (AMD64, ARM64)


def steps(found: Result) -> list[tuple[str, str]]:
    """The steps with their stages, and how they ended."""
    events = found.recorder.events
    ends = {event.number: event.status for event in events if isinstance(event, StepFinished)}
    starts = [event for event in events if isinstance(event, StepStarted)]
    return [(f"{event.stage} {event.title}", ends[event.number]) for event in starts]


@pytest.mark.parametrize("cached", [True, False])
def test_a_stage_for_this_machine_is_built_once_and_each_target_gets_its_own(workshop: Workshop, cached: bool) -> None:
    """Cross compilation, as it is done: everything runs here, nothing is emulated; without the cache too."""
    found = workshop.build(
        "FROM --platform=$BUILDPLATFORM base AS tools\nRUN echo tool > /tool\n"
        "FROM tools AS build\nRUN cat /tool > /common\nARG TARGETARCH TARGETPLATFORM BUILDPLATFORM\n"
        'RUN echo "$TARGETPLATFORM by $BUILDPLATFORM" > /app\n'
        "FROM scratch\nCOPY --from=build /app /common /\nCOPY --from=tools /tool /\n",
        platforms=(S390X, ARM64),
        use_cache=cached,
    )
    here = Platform.host()
    runs = [(title, status) for title, status in steps(found) if "RUN" in title]
    assert [run for run in runs if "echo tool" in run[0]] == [(f"{here} tools RUN echo tool > /tool", "done")]
    # The first line of the stage that differs is the same for both, and is done once.
    assert sorted(status for title, status in runs if "cat /tool" in title) == ["cached", "done"]
    assert [status for title, status in runs if f"{here}->arm64 build RUN echo" in title] == ["done"]
    assert len(found.product.images) == 2
    with Store.open(found.store) as store:
        for one in found.product.images:
            with tarfile.open(store.blob_path(one.image.layers[0].descriptor.digest)) as tar:
                member = tar.extractfile("app")
                assert member is not None
                assert member.read().decode() == f"{one.platform} by {here}\n"


def test_a_second_build_takes_all_from_the_cache_and_is_the_same(workshop: Workshop) -> None:
    workshop.write("f", "x\n")
    text = "FROM base\nARG TARGETARCH\nCOPY f /f\nENV arch=$TARGETARCH\nWORKDIR /w\n"
    first = workshop.build(text, platforms=BOTH)
    second = workshop.build(text, platforms=BOTH)
    assert set(second.recorder.statuses()) == {"cached"}
    assert first.product.descriptor == second.product.descriptor
    alone = workshop.build(text, platforms=(ARM64,))
    assert alone.built.manifest == first.product.images[1].manifest


def test_the_same_files_are_another_base_for_another_machine(workshop: Workshop) -> None:
    """A step of one machine is never another's, though all that is in its root file system is the same."""
    here = Platform.host()
    older = Platform(here.os, here.architecture, "v3" if here.architecture == "amd64" else "v9")
    text = "FROM base\nRUN uname -m > /m\n"
    workshop.build(text, platforms=(here,))
    again = workshop.build(text, platforms=(older,))
    assert again.recorder.statuses() == ["done"]


def test_what_was_asked_for_is_what_the_image_says_whatever_the_last_from(workshop: Workshop) -> None:
    """As BuildKit; without --platform it is what FROM says."""
    text = "FROM --platform=linux/s390x base\nENV a=b\n"
    asked = workshop.build(text, platforms=(ARM64,))
    assert asked.built.image.platform == ARM64
    assert [e.rule for e in asked.recorder.events if isinstance(e, WarningFound)] == ["FromPlatformFlagConstDisallowed"]
    assert workshop.build(text).built.image.platform == S390X
    for product in (workshop.build(text, platforms=BOTH).product,):
        assert [one.image.platform for one in product.images] == list(BOTH)
        first, second = product.images
        assert first.image.layers == second.image.layers


def test_a_warning_is_told_once_for_all_platforms(workshop: Workshop) -> None:
    found = workshop.build("FROM base AS Loud\nCMD x\n", platforms=BOTH)
    rules = [event.rule for event in found.recorder.events if isinstance(event, WarningFound)]
    assert rules == ["StageNameCasing", "JSONArgsRecommended"]


def test_each_platform_starts_from_its_own_image(workshop: Workshop, tmp_path: Path) -> None:
    images = {
        "linux/amd64": make_image([{"which": b"amd64"}], architecture="amd64"),
        "linux/arm64": make_image([{"which": b"arm64"}], architecture="arm64"),
        "linux/arm/v6": make_image([{"which": b"v6"}], architecture="arm", variant="v6"),
    }
    index = make_index(images)
    layout = write_layout(tmp_path / "layout", {str(n): image for n, image in enumerate(images.values())}, [index])
    entry = {
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "digest": json.loads((layout / "index.json").read_text())["manifests"][0]["digest"],
        "size": len(index),
    }
    from tests.support.images import digest

    entry["digest"] = digest(index)
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    workshop.write("f", "x\n")
    contexts = {"base": f"oci-layout://{layout}"}
    wanted = (ARM64, AMD64, Platform("linux", "arm", "v7"))
    found = workshop.build("FROM base\nCOPY f /f\n", contexts=contexts, platforms=wanted)
    with Store.open(found.store) as store:
        firsts = []
        for one in found.product.images:
            with tarfile.open(store.blob_path(one.image.layers[0].descriptor.digest)) as tar:
                member = tar.extractfile("which")
                assert member is not None
                firsts.append(member.read())
    assert firsts == [b"arm64", b"amd64", b"v6"]
    done = fswatch_builder(
        "build",
        str(workshop.context),
        f"--store={workshop.store}",
        f"--build-context=base=oci-layout://{layout}",
        "--platform=linux/arm64,linux/riscv64",
        check=False,
    )
    assert done.returncode == 5
    assert "is not available for linux/riscv64" in done.stderr
    assert "it is there for linux/amd64, linux/arm/v6, linux/arm64" in done.stderr


def test_a_run_that_cannot_be_done_here_is_told_before_anything_is_done(workshop: Workshop) -> None:
    """The machine that tests has no emulator registered for it, or the message would be another one."""
    workshop.write("f", "x\n")
    workshop.write("Dockerfile", "FROM base\nCOPY f /f\nRUN true\n")
    asked = (f"--store={workshop.store}", f"--build-context=base={workshop.base}", "--progress=plain")
    done = fswatch_builder("build", str(workshop.context), *asked, "--platform=local,linux/vax", check=False)
    assert done.returncode == 8
    assert "a RUN for linux/vax cannot be executed here" in done.stderr
    assert "Dockerfile:3" in done.stderr
    assert " layer " not in done.stderr  # no step that makes one was done


def test_what_is_not_run_needs_no_emulator(workshop: Workshop) -> None:
    workshop.write("f", "x\n")
    found = workshop.build(
        "FROM base AS unused\nRUN true\nFROM base\nCOPY f /f\nWORKDIR /w\n",
        platforms=(Platform("linux", "vax"), Platform("linux", "pdp11")),
        build_args=args(),
    )
    assert len(found.product.images) == 2
