"""An image is unpacked while it comes from a registry, a layout or an archive, and believed if it is what came."""

from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from fswatch_builder.build import kept_bases
from fswatch_builder.build.ahead import Ahead
from fswatch_builder.build.ground import Ways
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.registry import pull
from fswatch_builder.oci.store import Store
from tests.support.arriving import (
    LIST,
    Seen,
    all_layers,
    from_registry,
    held,
    lower,
    packed,
    place,
    same_as_plain,
    threads,
)
from tests.support.builds import Workshop
from tests.support.images import (
    MadeImage,
    digest,
    make_image,
    make_index,
    saved,
    tar_directory,
    write_layout,
)
from tests.support.kept import EPOCH, FROM_EARLIER, kept_notes, leftovers, trees
from tests.support.overlays import needs_overlay_tracker
from tests.support.registry import FakeRegistry

pytestmark = [pytest.mark.root, needs_overlay_tracker]

AMD64 = Platform("linux", "amd64")


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
