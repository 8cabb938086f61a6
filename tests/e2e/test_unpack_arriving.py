"""An image is unpacked while it comes from a registry, a layout or an archive, and believed if it is what came."""

import gzip
import os
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import zstandard

from fswatch_builder.build import kept_bases, unpacking
from fswatch_builder.build.ahead import Ahead
from fswatch_builder.build.ground import Ways
from fswatch_builder.errors import BaseImageError, BuildError, RegistryError
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci.limits import UnpackLimits
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.registry import client, pull
from fswatch_builder.oci.store import Store
from tests.support.bases import hard_base
from tests.support.builds import Result, Workshop
from tests.support.images import (
    MadeImage,
    digest,
    layer_of,
    make_image,
    make_index,
    member,
    saved,
    tar_directory,
    write_layout,
)
from tests.support.kept import EPOCH, FROM_EARLIER, kept_notes, leftovers, trees
from tests.support.overlays import needs_overlay_tracker
from tests.support.registry import Answer, FakeRegistry

pytestmark = [pytest.mark.root, needs_overlay_tracker]

AMD64 = Platform("linux", "amd64")
LIST = "RUN ls -lR /first /l /odd /usr /acl /opaque /d /new >/list && echo x >>/l/a\n"
#: Not to be compressed, and more than all pipes and buffers on the way hold.
MUCH = os.urandom(6 << 20)
#: Hundredths of a second after which a server gives up to wait. It waits so long only where a test fails.
_LONG = 2500


#: Whoever runs the tests may ignore Ctrl-C.
INTERRUPTIBLE = """
import signal
signal.signal(signal.SIGINT, signal.SIG_DFL)
from fswatch_builder.cli.entry import main
main()
"""


def packed(plain: bytes) -> bytes:
    return gzip.compress(plain, 1, mtime=0)


def lower(workshop: Workshop, tmp_path: Path, first: bytes = b"1") -> bytes:
    """A file, then much, then all that is hard in a base."""
    before = layer_of(member("first", first), member("much", MUCH))
    end = before.rindex(MUCH[-16:]) + 16  # MUCH ends with a block; what follows would end the archive
    return before[:end] + hard_base(workshop.base, tmp_path / "base.tar").read_bytes()


UPPER = layer_of(
    member("l", kind=tarfile.DIRTYPE),
    member("l/.wh.pair"),
    member("l/deep", kind=tarfile.DIRTYPE),
    member("l/deep/.wh..wh..opq"),
    member("l/deep/d", b"in place of all\n"),
    member("old", kind=tarfile.SYMTYPE, link="l/a"),
    member("new", kind=tarfile.DIRTYPE),
    member("new/last", b"last\n"),
)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeRegistry]:
    """Whoever asks it again does not wait before."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setattr(client.RegistryClient, "_pause", lambda _self, _seconds: None)
    running = FakeRegistry()
    yield running
    running.close()


@pytest.fixture
def image(workshop: Workshop, tmp_path: Path) -> MadeImage:
    return make_image([lower(workshop, tmp_path), UPPER], pack=packed)


@pytest.fixture
def unpacked_again(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The layers that are unpacked from the store, as if nothing had been done ahead."""
    real, layers = unpacking.unpack, []

    def unpack(*arguments: object) -> int:
        layers.append(arguments[0].diff_id.text)  # type: ignore[attr-defined]
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(unpacking, "unpack", unpack)
    return layers


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of how many layers each, that are unpacked ahead."""
    real, counts = Ahead.__init__, []

    def init(self: Ahead, *arguments: object) -> None:
        counts.append(len(arguments[0]))  # type: ignore[arg-type]
        real(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Ahead, "__init__", init)
    return counts


def place(image: MadeImage, number: int, repository: str = "app") -> str:
    return f"/v2/{repository}/blobs/{digest(image.layers[number])}"


@dataclass
class Seen:
    """A server's look at what the build has unpacked: it goes on when this file is there."""

    store: Path
    file: str
    found: bool = False
    goes_on: bool = True

    def __call__(self) -> bool:
        clock = threading.Event()
        for _ in range(_LONG):
            if self.found or any(self.store.glob(f"work/*/tree/rootfs/{self.file}")):
                self.found = True
                return self.goes_on
            clock.wait(0.01)
        return False


def held(image: MadeImage, number: int, seen: Callable[[], bool], share: float) -> Answer:
    body = image.layers[number]
    return Answer(body=body, held=int(len(body) * share), until=seen)


def from_registry(fake: FakeRegistry, lines: str = LIST, name: str = "app:1") -> str:
    return f"FROM {fake.host}/{name}\n{lines}"


def all_layers(result: Result) -> list[str]:
    return [layer.diff_id.text for layer in result.built.image.layers]


def same_as_plain(workshop: Workshop, result: Result, lines: str) -> bool:
    """Whether the layers are those of a build with a store of its own that keeps nothing unpacked."""
    plain = workshop.build(
        lines, store=workshop.store / "plain", keep_bases=False, tracker="scan", use_cache=False, build_args=EPOCH
    )
    return all_layers(plain) == all_layers(result)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name in ("unpack ahead", "decompress")]


@pytest.mark.parametrize(
    ("pack", "compression"),
    [(packed, "gzip"), (lambda plain: zstandard.ZstdCompressor().compress(plain), "zstd"), (bytes, "")],
    ids=["gzip", "zstd", "plain"],
)
def test_the_first_half_of_a_layer_is_unpacked_before_the_second_comes(
    fake: FakeRegistry,
    workshop: Workshop,
    tmp_path: Path,
    unpacked_again: list[str],
    pack: Callable[[bytes], bytes],
    compression: str,
) -> None:
    image = make_image([lower(workshop, tmp_path)], pack=pack, compression=compression)
    fake.add("app", "1", image)
    seen = Seen(workshop.store, "first")
    fake.content[place(image, 0)] = held(image, 0, seen, 0.6)
    result = workshop.build(from_registry(fake, "RUN ls -lR /l >/list\n"), build_args=EPOCH, audit=True)
    assert seen.found
    assert unpacked_again == []
    assert len(trees(workshop.store)) == 1
    assert leftovers(workshop.store) == []
    assert same_as_plain(workshop, result, from_registry(fake, "RUN ls -lR /l >/list\n"))


def test_the_first_layer_is_unpacked_before_the_second_comes(
    fake: FakeRegistry, workshop: Workshop, image: MadeImage, unpacked_again: list[str], begun: list[int]
) -> None:
    """Of the image that an index has for the platform."""
    other = make_image([{"x": b""}], architecture="arm64")
    fake.add("app", "amd64", image)
    fake.add("app", "arm64", other)
    index = make_index({"linux/arm64": other, "linux/amd64": image})
    fake.add_manifest("app", "1", index, "application/vnd.oci.image.index.v1+json")
    seen = Seen(workshop.store, "empty")
    fake.content[place(image, 1)] = held(image, 1, seen, 0)
    result = workshop.build(from_registry(fake), build_args=EPOCH, audit=True)
    assert seen.found
    assert unpacked_again == []
    assert begun == [2]
    assert leftovers(workshop.store) == []
    again = workshop.build(from_registry(fake), build_args=EPOCH, use_cache=False)
    assert kept_notes(again) == [FROM_EARLIER]
    assert all_layers(again) == all_layers(result)
    assert same_as_plain(workshop, result, from_registry(fake))


def test_a_connection_that_breaks_is_gone_on_with_where_it_was(
    fake: FakeRegistry, workshop: Workshop, image: MadeImage, unpacked_again: list[str]
) -> None:
    fake.add("app", "1", image)
    seen = Seen(workshop.store, "first", goes_on=False)
    fake.queue[place(image, 0)] = [held(image, 0, seen, 0.6), held(image, 0, lambda: False, 0.3)]
    result = workshop.build(from_registry(fake), build_args=EPOCH)
    assert seen.found
    assert len(fake.asked(digest(image.layers[0]))) == 3
    assert unpacked_again == []
    assert leftovers(workshop.store) == []
    assert same_as_plain(workshop, result, from_registry(fake))


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


def test_several_images_are_each_unpacked_while_they_come(
    fake: FakeRegistry,
    workshop: Workshop,
    tmp_path: Path,
    image: MadeImage,
    unpacked_again: list[str],
    begun: list[int],
) -> None:
    """Two stages on images that share a layer, and an image that files are taken from."""
    sibling = make_image([lower(workshop, tmp_path), {"sibling": b"s"}], pack=packed)
    third = make_image([{"third": b"t"}], pack=packed)
    for name, one in (("app", image), ("sibling", sibling), ("third", third)):
        fake.add(name, "1", one)
    lines = (
        f"FROM {fake.host}/app:1 AS one\nRUN ls -l /new >/one\n"
        f"FROM {fake.host}/sibling:1\nRUN ls -l /sibling >/two\n"
        f"COPY --from=one /one /\nCOPY --from={fake.host}/third:1 /third /\n"
    )
    result = workshop.build(lines, build_args=EPOCH)
    assert begun == [2, 2, 1]
    assert unpacked_again == []
    assert len(trees(workshop.store)) == 3
    assert leftovers(workshop.store) == []
    assert same_as_plain(workshop, result, lines)


def test_layers_that_the_store_has_are_taken_from_it(
    fake: FakeRegistry,
    workshop: Workshop,
    tmp_path: Path,
    image: MadeImage,
    unpacked_again: list[str],
    begun: list[int],
) -> None:
    fake.add("app", "1", image)
    fake.add("sibling", "1", make_image([lower(workshop, tmp_path), {"sibling": b"s"}], pack=packed))
    with Store.open(str(workshop.store)) as store:
        pull(store, Reference.parse(f"{fake.host}/sibling:1"), AMD64)
    result = workshop.build(from_registry(fake), build_args=EPOCH)
    assert len(fake.asked(digest(image.layers[0]))) == 1
    assert begun == [2]
    assert unpacked_again == []
    assert same_as_plain(workshop, result, from_registry(fake))


@pytest.mark.parametrize("refresh", [False, True])
def test_nothing_is_begun_where_steps_may_be_cached(
    fake: FakeRegistry, workshop: Workshop, image: MadeImage, begun: list[int], refresh: bool
) -> None:
    fake.add("app", "1", image)
    with Store.open(str(workshop.store)) as store:
        pull(store, Reference.parse(f"{fake.host}/app:1"), AMD64)
    workshop.build(from_registry(fake), refresh=refresh)
    assert begun == []


def test_nothing_is_begun_where_a_part_is_unpacked_already(
    fake: FakeRegistry, workshop: Workshop, tmp_path: Path, begun: list[int]
) -> None:
    """The rest goes on top of it."""
    below = lower(workshop, tmp_path)
    fake.add("below", "1", make_image([below], pack=packed))
    fake.add("app", "1", make_image([below, {"x": b"x"}], pack=packed))
    workshop.build(from_registry(fake, "RUN true\n", "below:1"))
    result = workshop.build(from_registry(fake, "RUN cat /x\n"))
    assert begun == [1]
    assert kept_notes(result) == [FROM_EARLIER]
    assert len(trees(workshop.store)) == 1


def test_a_build_that_keeps_nothing_begins_nothing(
    fake: FakeRegistry, workshop: Workshop, image: MadeImage, begun: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Because it may not, or because its tracker cannot begin with what could be kept here."""
    fake.add("app", "1", image)
    workshop.build(from_registry(fake), keep_bases=False)
    monkeypatch.setattr(Ways, "of", lambda _directory: Ways(over=True, copy=False))
    workshop.build(from_registry(fake), store=workshop.store / "other", tracker="fanotify")
    assert begun == []


def test_a_build_that_needs_no_files_does_not_wait_for_them(
    fake: FakeRegistry, workshop: Workshop, image: MadeImage, begun: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.add("app", "1", image)
    monkeypatch.setattr(Ahead, "result", None)
    workshop.build(from_registry(fake, "LABEL a=b\n"))
    assert begun == [2]
    assert trees(workshop.store) == []
    assert leftovers(workshop.store) == []
    assert threads() == []


@pytest.mark.parametrize("form", ["layout", "OCI archive", "docker save", "docker save, compressed"])
def test_what_is_no_registry_is_followed_as_well(
    workshop: Workshop, tmp_path: Path, image: MadeImage, unpacked_again: list[str], begun: list[int], form: str
) -> None:
    if form.startswith("docker"):
        base = str(saved(tmp_path / "image.tar", {"app:1": image}, plain="compressed" not in form))
    else:
        layout = write_layout(tmp_path / "layout", {"1": image})
        base = f"oci-layout://{layout}" if form == "layout" else str(tar_directory(layout, tmp_path / "image.tar"))
    lines = f"FROM base\n{LIST}"
    result = workshop.build(lines, contexts={"base": base}, build_args=EPOCH)
    # A compressed layer of docker save has a digest that nobody knows before it is read.
    assert begun == ([] if "compressed" in form else [2])
    assert len(unpacked_again) == (2 if "compressed" in form else 0)
    assert leftovers(workshop.store) == []
    plain = workshop.build(lines, contexts={"base": base}, store=tmp_path / "p", keep_bases=False, build_args=EPOCH)
    assert all_layers(plain) == all_layers(result)


def test_another_build_may_have_made_the_tree_meanwhile(
    fake: FakeRegistry, workshop: Workshop, image: MadeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is taken, and what was unpacked ahead goes."""
    fake.add("app", "1", image)
    real = kept_bases.KeptBases.begin

    def begin(self: kept_bases.KeptBases, *arguments: object) -> object:
        monkeypatch.setattr(kept_bases.KeptBases, "begin", real)
        workshop.build(from_registry(fake))
        return real(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(kept_bases.KeptBases, "begin", begin)
    result = workshop.build(from_registry(fake, "RUN cat /new/last\n"))
    assert "last" in result.recorder.printed()
    assert kept_notes(result) == [FROM_EARLIER]
    assert len(trees(workshop.store)) == 1
    assert leftovers(workshop.store) == []
    assert threads() == []


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
                assert reached.wait(_LONG / 100)
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
