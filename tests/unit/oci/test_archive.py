"""Images in layouts and archives of every usual form, and hostile ones."""

import bz2
import gzip
import io
import json
import lzma
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fswatch_builder.errors import BaseImageError
from fswatch_builder.model.digest import Digest
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci.archive import ArchiveKind, import_archive, recognise
from fswatch_builder.oci.layout import import_layout
from fswatch_builder.oci.limits import UnpackLimits
from fswatch_builder.oci.store import Store
from tests.support.images import (
    digest,
    encode,
    make_image,
    make_index,
    saved,
    tar_directory,
    tar_of,
    write_layout,
)

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")


def with_index(layout: Path, content: bytes) -> Path:
    (layout / "blobs" / "sha256" / digest(content).removeprefix("sha256:")).write_bytes(content)
    entry = {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest(content), "size": len(content)}
    (layout / "index.json").write_bytes(encode({"schemaVersion": 2, "manifests": [entry]}))
    return layout


def test_a_layout_is_read_by_tag_digest_or_alone(store: Store, tmp_path: Path) -> None:
    one, two = make_image([{"1": b""}]), make_image([{"2": b""}])
    layout = write_layout(tmp_path / "layout", {"1.0": one, "2": two})
    assert import_layout(store, f"oci-layout://{layout}:1.0", AMD64).text == one.digest
    assert import_layout(store, f"oci-layout://{layout}@{two.digest}", AMD64).text == two.digest
    assert import_layout(store, f"{layout}:2@{two.digest}", AMD64).text == two.digest
    with pytest.raises(BaseImageError, match="several images") as caught:
        import_layout(store, f"oci-layout://{layout}", AMD64)
    assert "1.0, 2" in (caught.value.hint or "")
    with pytest.raises(BaseImageError, match="no image 3"):
        import_layout(store, f"oci-layout://{layout}:3", AMD64)
    with pytest.raises(BaseImageError, match="lacks blob"):
        import_layout(store, f"oci-layout://{layout}@sha256:{'0' * 64}", AMD64)
    alone = write_layout(tmp_path / "with:colon", {"x": one})
    assert import_layout(store, f"oci-layout://{alone}", AMD64).text == one.digest
    with pytest.raises(BaseImageError, match="not an OCI image layout"):
        import_layout(store, f"oci-layout://{tmp_path}/nothing", AMD64)


def test_the_platform_is_chosen_in_a_layout(store: Store, tmp_path: Path) -> None:
    amd64, arm64 = make_image(), make_image(architecture="arm64")
    layout = write_layout(tmp_path / "layout", {"a": amd64, "b": arm64})
    with_index(layout, make_index({"linux/amd64": amd64, "linux/arm64": arm64}))
    assert import_layout(store, str(layout), ARM64).text == arm64.digest
    with pytest.raises(BaseImageError, match="not available for linux/386"):
        import_layout(store, str(layout), Platform("linux", "386"))
    alone = write_layout(tmp_path / "alone", {"a": arm64})
    assert import_layout(store, str(alone), AMD64).text == arm64.digest  # whoever asked sees what it is for


def test_an_index_that_holds_itself_ends(store: Store, tmp_path: Path) -> None:
    image = make_image()
    layout = write_layout(tmp_path / "layout", {"a": image})
    blobs = layout / "blobs" / "sha256"
    inner = make_index({"linux/amd64": image})
    for _ in range(9):
        (blobs / digest(inner)[7:]).write_bytes(inner)
        entry = {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest(inner), "size": len(inner)}
        inner = encode(
            {"schemaVersion": 2, "manifests": [{**entry, "platform": {"os": "linux", "architecture": "amd64"}}]}
        )
    with_index(layout, inner)
    with pytest.raises(BaseImageError, match="indexes in indexes"):
        import_layout(store, str(layout), AMD64)


@pytest.mark.parametrize("part", ["layer", "config", "manifest"])
def test_a_damaged_blob_of_a_layout_is_refused(store: Store, tmp_path: Path, part: str) -> None:
    image = make_image()
    layout = write_layout(tmp_path / "layout", {"a": image})
    content = {"layer": image.layers[0], "config": image.config, "manifest": image.manifest}[part]
    path = layout / "blobs" / "sha256" / digest(content)[7:]
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(BaseImageError, match="is damaged"):
        import_layout(store, str(layout), AMD64)
    path.unlink()
    with pytest.raises(BaseImageError, match="lacks blob"):
        import_layout(store, str(layout), AMD64)
    os.mkfifo(path)  # reading it would hang
    with pytest.raises(BaseImageError, match="lacks blob"):
        import_layout(store, str(layout), AMD64)


@pytest.mark.parametrize("stated", [1, 10**6])
@pytest.mark.parametrize("known", [False, True], ids=["new", "in the store"])
def test_a_manifest_that_lies_about_the_size_of_a_blob_is_refused(
    store: Store, tmp_path: Path, stated: int, known: bool
) -> None:
    image = make_image()
    if known:
        import_layout(store, str(write_layout(tmp_path / "honest", {"a": image})), AMD64)
    manifest = json.loads(image.manifest)
    manifest["layers"][0]["size"] = stated
    image.manifest = encode(manifest)
    image.blobs[image.digest] = image.manifest
    layout = write_layout(tmp_path / "layout", {"a": image})
    size = len(image.layers[0])
    with pytest.raises(BaseImageError, match=f"blob {digest(image.layers[0])} .* has {size} bytes, not the {stated}"):
        import_layout(store, str(layout), AMD64)


def test_an_index_that_lies_about_the_size_of_a_manifest_is_refused(store: Store, tmp_path: Path) -> None:
    image = make_image()
    layout = write_layout(tmp_path / "layout", {"a": image})
    index = json.loads((layout / "index.json").read_bytes())
    index["manifests"][0]["size"] += 1
    (layout / "index.json").write_bytes(encode(index))
    with pytest.raises(BaseImageError, match=f"manifest {image.digest} .* is damaged: it has"):
        import_layout(store, str(layout), AMD64)


def test_the_index_has_the_last_word_on_the_platform(store: Store, tmp_path: Path) -> None:
    """An image for arm/v6 whose configuration says nothing of a variant, beside one for arm/v5 that does."""
    old, older = make_image(architecture="arm"), make_image([{"v5": b""}], architecture="arm", variant="v5")
    layout = write_layout(tmp_path / "layout", {"a": old, "b": older})
    with_index(layout, make_index({"linux/arm/v5": older, "linux/arm/v6": old}))
    for variant, chosen in (("v7", old), ("v6", old), ("v5", older)):
        assert import_layout(store, str(layout), Platform("linux", "arm", variant)).text == chosen.digest


def test_images_of_one_layout_are_chosen_by_what_the_machine_runs_best(store: Store, tmp_path: Path) -> None:
    images = {variant: make_image(architecture="arm", variant=variant) for variant in ("v5", "v6")}
    layout = write_layout(tmp_path / "layout", images)
    index = json.loads((layout / "index.json").read_bytes())
    for entry, variant in zip(index["manifests"], images, strict=True):
        entry["platform"] = {"os": "linux", "architecture": "arm", "variant": variant}
    (layout / "index.json").write_bytes(encode(index))
    assert import_layout(store, str(layout), Platform("linux", "arm", "v7")).text == images["v6"].digest


def test_l18_a_compressed_archive_that_is_a_bomb_is_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "bomb.tar").write_bytes(gzip.compress(tar_of({"manifest.json": bytes(4 << 20)})))
    store.limits = UnpackLimits(size=1 << 20)
    with pytest.raises(BaseImageError, match=r"more than the limit of 1048576 bytes \(--unpack-limit\)"):
        import_archive(store, str(tmp_path / "bomb.tar"), AMD64)
    assert os.listdir(os.path.join(store.directory, "blobs", "sha256")) == []


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_an_oci_archive_is_told_by_its_content(store: Store, tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    image = make_image([{"a": b"1"}, {"b": b"2"}])
    layout = write_layout(tmp_path / "layout", {"a": image})
    path = tar_directory(layout, tmp_path / "image.bin")
    path.write_bytes(pack(path.read_bytes()))
    assert recognise(str(path)) is ArchiveKind.OCI
    assert import_archive(store, str(path), AMD64).text == image.digest
    assert len(os.listdir(os.path.join(store.directory, "work"))) <= 3  # no unpacked copy stays


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_an_old_docker_archive_is_read(
    store: Store, tmp_path: Path, pack: Callable[[bytes], bytes], plain: bool
) -> None:
    same = {"same": b"x"}
    image = make_image([same, {"b": b"2"}, same], config={"Cmd": ["run"]})
    path = saved(tmp_path / "image.tar", {"app:1": image}, plain=plain)
    path.write_bytes(pack(path.read_bytes()))
    assert recognise(str(path)) is ArchiveKind.DOCKER
    loaded = store.load_image(import_archive(store, str(path), AMD64))
    assert loaded.config.cmd == ("run",)
    assert [layer.diff_id.text for layer in loaded.layers] == json.loads(image.config)["rootfs"]["diff_ids"]
    assert all(store.size(layer.descriptor.digest) == layer.descriptor.size for layer in loaded.layers)
    if plain:
        assert all(layer.descriptor.digest == Digest(layer.diff_id.text) for layer in loaded.layers)


def test_a_new_docker_archive_is_a_layout_with_more(store: Store, tmp_path: Path) -> None:
    image = make_image()
    layout = write_layout(tmp_path / "layout", {"a": image})
    (layout / "manifest.json").write_bytes(encode([{"Config": "x", "RepoTags": ["a"], "Layers": []}]))
    path = tar_directory(layout, tmp_path / "image.tar")
    assert import_archive(store, str(path), AMD64).text == image.digest


def test_several_images_in_a_docker_archive_are_chosen_by_platform(store: Store, tmp_path: Path) -> None:
    amd64, arm64 = make_image(), make_image(architecture="arm64")
    path = saved(tmp_path / "both.tar", {"app:amd64": amd64, "app:arm64": arm64})
    chosen = store.load_image(import_archive(store, str(path), ARM64))
    assert chosen.platform == ARM64
    with pytest.raises(BaseImageError, match="no image for linux/386"):
        import_archive(store, str(path), Platform("linux", "386"))
    path = saved(tmp_path / "two.tar", {"a:1": amd64, "b:1": make_image([{"other": b""}])})
    with pytest.raises(BaseImageError, match="several images: a:1, b:1"):
        import_archive(store, str(path), AMD64)
    path = saved(tmp_path / "twice.tar", {"a:1": amd64, "b:1": amd64})
    import_archive(store, str(path), AMD64)


def test_the_only_image_of_a_docker_archive_is_taken_whatever_it_is_for(store: Store, tmp_path: Path) -> None:
    path = saved(tmp_path / "image.tar", {"app:1": make_image(architecture="arm64")})
    assert store.load_image(import_archive(store, str(path), AMD64)).platform == ARM64


def test_a_changed_layer_in_a_docker_archive_is_refused(store: Store, tmp_path: Path) -> None:
    image = make_image([{"a": b"content"}])
    image.layers = [gzip.compress(tar_of({"a": b"changed"}))]
    path = saved(tmp_path / "image.tar", {"a": image})
    with pytest.raises(BaseImageError, match="is damaged"):
        import_archive(store, str(path), AMD64)


def test_links_in_an_archive_never_lead_out_of_it(store: Store, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    for target in (str(tmp_path / "secret"), "../" * 20 + str(tmp_path / "secret"), "layer.tar"):
        path = tmp_path / "image.tar"
        with tarfile.open(path, "w") as tar:
            link = tarfile.TarInfo("layer.tar")
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
            for name, content in {
                "config.json": make_image().config,
                "manifest.json": encode([{"Config": "config.json", "Layers": ["layer.tar"]}]),
            }.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        with pytest.raises(BaseImageError, match=r"lacks layer|link to a link"):
            import_archive(store, str(path), AMD64)


def test_a_root_file_system_is_told_from_an_image(store: Store, tmp_path: Path) -> None:
    for name in ("etc/passwd", "./usr/bin/x", "manifest.json.d/x", "odd/x"):
        path = tmp_path / "rootfs.tar"
        path.write_bytes(tar_of({name: b"x", "index.json": b"", "file": b""}))
        assert recognise(str(path)) is ArchiveKind.ROOTFS
        with pytest.raises(BaseImageError, match="not an image archive"):
            import_archive(store, str(path), AMD64)


@pytest.mark.parametrize(
    "content", [b"#!/bin/sh\n" * 60, b"x" * 10, gzip.compress(b"x" * 600)], ids=["script", "short", "gzip"]
)
def test_what_is_no_tar_is_told(store: Store, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(BaseImageError, match="cannot be used"):
        import_archive(store, str(tmp_path / "x.tar"), AMD64)
    with pytest.raises(BaseImageError, match="cannot read"):
        import_archive(store, str(tmp_path / "missing.tar"), AMD64)


@pytest.mark.parametrize("cut", [1, 600, 3000])
def test_an_archive_cut_short_is_refused(store: Store, tmp_path: Path, cut: int) -> None:
    path = saved(tmp_path / "image.tar", {"a": make_image([{"a": os.urandom(20_000)}])})
    path.write_bytes(path.read_bytes()[: 20_000 - cut])
    with pytest.raises(BaseImageError, match=r"middle of a member"):
        import_archive(store, str(path), AMD64)


@pytest.mark.parametrize(("count", "length", "said"), [(20_001, 8, "members"), (1_500, 4_000, "characters")])
def test_l18_names_without_end_are_no_image_archive(
    store: Store, tmp_path: Path, count: int, length: int, said: str
) -> None:
    path = tmp_path / "image.tar"
    with tarfile.open(path, "w") as tar:
        for name in ("oci-layout", "index.json", *(f"{number:0{length}}" for number in range(count))):
            tar.addfile(tarfile.TarInfo(name))
    assert recognise(str(path)) is ArchiveKind.OCI
    with pytest.raises(BaseImageError, match=rf"{said}: that is no image archive"):
        import_archive(store, str(path), AMD64)
