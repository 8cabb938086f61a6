"""An image turns out wrong while it comes, or is not wanted any more: it is told as ever, and nothing is left."""

import os
import signal
import subprocess
import sys
import tarfile
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from fswatch_builder.errors import BaseImageError, BuildError, RegistryError
from fswatch_builder.oci.limits import UnpackLimits
from tests.support.arriving import LONG, UPPER, Seen, from_registry, held, lower, packed, place, threads
from tests.support.builds import Workshop
from tests.support.images import (
    MadeImage,
    digest,
    layer_of,
    make_image,
    member,
)
from tests.support.kept import leftovers, trees
from tests.support.overlays import needs_overlay_tracker
from tests.support.registry import Answer, FakeRegistry

pytestmark = [pytest.mark.root, needs_overlay_tracker]

#: Whoever runs the tests may ignore Ctrl-C.
INTERRUPTIBLE = """
import signal
signal.signal(signal.SIGINT, signal.SIG_DFL)
from fswatch_builder.cli.entry import main
main()
"""


def test_other_bytes_before_a_connection_breaks_are_not_believed(
    fake: FakeRegistry, workshop: Workshop, tmp_path: Path, unpacked_again: list[str]
) -> None:
    image, wrong = (
        make_image([lower(workshop, tmp_path, first)], pack=bytes, compression="") for first in (b"1", b"2")
    )
    fake.add("app", "1", image)
    seen = Seen(workshop.store, "first", goes_on=False)
    fake.queue[place(image, 0)] = [held(wrong, 0, seen, 0.6)]
    result = workshop.build(from_registry(fake, "RUN cat /first\n"))
    assert seen.found
    assert "1" in result.recorder.printed()
    assert len(unpacked_again) == 1
    (tree,) = trees(workshop.store)
    assert (tree / "rootfs/first").read_bytes() == b"1"
    assert leftovers(workshop.store) == []


@pytest.mark.parametrize("hazard", ["digest", "status", "length"])
def test_a_blob_that_turns_out_wrong_leaves_nothing(
    fake: FakeRegistry, workshop: Workshop, image: MadeImage, hazard: str
) -> None:
    fake.add("app", "1", image)
    seen = Seen(workshop.store, "first")
    body = image.layers[0]
    wrong = {
        "digest": Answer(body=body[:-1] + bytes([body[-1] ^ 1]), held=len(body) * 6 // 10, until=seen),
        "length": Answer(body=body + b"x", held=len(body) * 6 // 10, until=seen),
        "status": Answer(404),
    }
    number = 1 if hazard == "status" else 0
    fake.content[place(image, number)] = wrong[hazard]
    with pytest.raises(RegistryError, match="does not have blob" if hazard == "status" else "sent wrong bytes") as told:
        workshop.build(from_registry(fake))
    assert seen.found == (hazard != "status")
    assert digest(image.layers[number]) in told.value.what
    assert not (workshop.store / "blobs/sha256" / digest(image.layers[number])[7:]).exists()
    assert trees(workshop.store) == []
    assert leftovers(workshop.store) == []
    assert threads() == []


def test_a_layer_that_leads_out_is_told_as_ever(fake: FakeRegistry, workshop: Workshop, tmp_path: Path) -> None:
    climbing = layer_of(
        member("out", kind=tarfile.SYMTYPE, link=str(tmp_path)),
        member("out/inside", b""),
        member("etc/../../climbed", b""),
    )
    fake.add("app", "1", make_image([lower(workshop, tmp_path), climbing], pack=packed))
    with pytest.raises(BaseImageError, match=r"cannot be unpacked: .* a name with \.\. in it would lead out"):
        workshop.build(from_registry(fake, "RUN true\n"))
    assert list(tmp_path.glob("**/climbed")) == []
    assert not (tmp_path / "inside").exists()
    assert trees(workshop.store) == []
    assert leftovers(workshop.store) == []


def test_l18_a_layer_beyond_the_limits_is_told_as_ever(
    fake: FakeRegistry, workshop: Workshop, image: MadeImage, begun: list[int]
) -> None:
    fake.add("app", "1", image)
    for limits, told in (
        (UnpackLimits(size=1 << 20), "limit of 1048576 bytes"),
        (UnpackLimits(entries=9), "limit of 9 members"),
    ):
        with pytest.raises(BaseImageError, match=rf"cannot be unpacked: .*{told}"):
            workshop.build(from_registry(fake), limits=limits, store=workshop.store / str(len(begun)))
        assert trees(workshop.store / str(len(begun) - 1)) == []
        assert leftovers(workshop.store / str(len(begun) - 1)) == []
    assert begun == [2, 2]


def test_a_layer_that_is_not_what_the_configuration_says_is_told_as_ever(
    fake: FakeRegistry, workshop: Workshop, image: MadeImage
) -> None:
    """Its blob has the right digest, so it is imported."""
    other = make_image([{"x": b""}, UPPER], pack=packed)
    told = make_image([{"y": b""}, UPPER], pack=packed)
    lying = replace(
        other,
        config=told.config,
        manifest=other.manifest.replace(digest(other.config).encode(), digest(told.config).encode()),
    )
    lying.blobs = {digest(content): content for content in (lying.config, lying.manifest, *lying.layers)}
    fake.add("app", "1", lying)
    with pytest.raises(BaseImageError, match="is damaged: its tar has digest"):
        workshop.build(from_registry(fake, "RUN true\n"))
    assert trees(workshop.store) == []
    assert leftovers(workshop.store) == []


def test_a_build_that_fails_meanwhile_leaves_nothing(
    fake: FakeRegistry, workshop: Workshop, tmp_path: Path, image: MadeImage
) -> None:
    """The first image comes, the second is not there."""
    fake.add("app", "1", image)
    with pytest.raises(BuildError, match="does not have"):
        workshop.build(f"FROM {fake.host}/app:1 AS one\nFROM {fake.host}/none:1\nCOPY --from=one /first /\n")
    assert trees(workshop.store) == []
    assert leftovers(workshop.store) == []
    assert threads() == []


def test_ctrl_c_ends_it_though_the_server_is_silent_and_leaves_nothing(
    fake: FakeRegistry, workshop: Workshop, image: MadeImage
) -> None:
    fake.add("app", "1", image)
    seen, over = Seen(workshop.store, "first"), threading.Event()
    reached = threading.Event()

    def silent() -> bool:
        if seen():
            reached.set()
        over.wait()
        return False

    fake.content[place(image, 0)] = held(image, 0, silent, 0.6)
    workshop.write("Dockerfile", from_registry(fake))
    command = [sys.executable, "-c", INTERRUPTIBLE, "build", str(workshop.context), "--store", str(workshop.store)]
    try:
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            try:
                assert reached.wait(LONG / 100)
                process.send_signal(signal.SIGINT)
                _, told = process.communicate(timeout=20)  # less than after which a silent connection is given up
            finally:
                process.kill()
    finally:
        over.set()
    assert process.returncode == 130
    assert "Traceback" not in told
    assert told.count("interrupted") == 1
    assert leftovers(workshop.store) == []
    assert [name for name in os.listdir(workshop.store / "blobs/sha256") if name == digest(image.layers[0])[7:]] == []
