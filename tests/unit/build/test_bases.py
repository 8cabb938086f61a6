"""What a named context or a FROM may stand for."""

import gzip
import io
import json
import lzma
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fswatch_builder.build import bases as module
from fswatch_builder.build.bases import bases
from fswatch_builder.errors import BaseImageError
from fswatch_builder.model.digest import Digest
from fswatch_builder.model.image import DEFAULT_PATH, Descriptor, Layer
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci.compression import decompressed
from fswatch_builder.oci.keeping.kept import Kind
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.store import Store
from tests.support.images import make_image, tar_directory, tar_of, write_layout
from tests.support.registry import FakeRegistry

AMD64 = Platform("linux", "amd64")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    with Store.open(str(tmp_path / "store")) as opened:
        yield opened


def names_of(store: Store, manifest: Digest) -> list[str]:
    (layer,) = store.load_image(manifest).layers
    path = store.blob_path(layer.descriptor.digest)
    with decompressed(path) as descriptor, open(descriptor, "rb", closefd=False) as file:
        content = file.read()
    assert Digest.of(content).text == layer.diff_id.text
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return tar.getnames()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "passwd").write_text("root:x:0:0::/:/bin/sh\n")
    (root / "bin").mkdir()
    (root / "bin" / "sh").write_bytes(b"\x7fELF")
    os.symlink("/nowhere", root / "etc" / "link")
    return root


def test_a_directory_becomes_one_layer(store: Store, tree: Path) -> None:
    manifest = bases(str(tree), store, AMD64)
    image = store.load_image(manifest)
    assert image.platform == AMD64
    assert image.config.env == (DEFAULT_PATH,)
    assert names_of(store, manifest) == ["bin", "bin/sh", "etc", "etc/link", "etc/passwd"]
    assert str(tree) not in store.read(manifest).decode()
    assert len(image.history) == 1


def test_an_unchanged_directory_is_not_packed_again(store: Store, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = bases(str(tree), store, AMD64)
    with monkeypatch.context() as patched:
        patched.setattr(module, "pack_layer", None)
        assert bases(str(tree), store, AMD64) == first
        assert bases(f"{tree}/../tree/", store, AMD64) == first
    (tree / "etc" / "passwd").write_text("root:x:0:0::/:/bin/bash\n")
    second = bases(str(tree), store, AMD64)
    assert second != first
    (tree / "etc" / "new").touch()
    third = bases(str(tree), store, AMD64)
    assert "etc/new" in names_of(store, third)
    (baseline,) = store.kept.things(Kind.BASELINE)
    assert baseline.label == str(tree)
    Path(baseline.path).write_bytes(b"damaged")
    assert bases(str(tree), store, AMD64) == third
    with monkeypatch.context() as patched:
        patched.setattr(module, "pack_layer", None)
        assert bases(str(tree), store, AMD64) == third


def test_a_directory_whose_image_is_not_whole_any_more_is_read_again(store: Store, tree: Path) -> None:
    first = bases(str(tree), store, AMD64)
    os.unlink(store.blob_path(store.load_image(first).layers[0].descriptor.digest))
    assert bases(str(tree), store, AMD64) == first
    assert store.is_whole(first)


def test_an_empty_directory_is_an_image_without_layers(store: Store, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert store.load_image(bases(str(tmp_path / "empty"), store, AMD64)).layers == ()


def test_a_directory_with_a_whiteout_name_is_refused(store: Store, tree: Path) -> None:
    (tree / ".wh.x").touch()
    with pytest.raises(BaseImageError, match=r"\.wh\.x"):
        bases(str(tree), store, AMD64)


def test_a_layout_is_not_taken_for_a_root_file_system(store: Store, tmp_path: Path) -> None:
    layout = write_layout(tmp_path / "layout", {"x": make_image()})
    with pytest.raises(BaseImageError, match="is an OCI image layout") as caught:
        bases(str(layout), store, AMD64)
    assert caught.value.hint == f"the image in it is oci-layout://{layout}"


def test_a_directory_that_holds_the_store_is_refused(store: Store, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "store", tmp_path / "store" / ".." / "store"):
        with pytest.raises(BaseImageError, match="holds the local store"):
            bases(str(path), store, AMD64)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
def test_a_root_file_system_archive_becomes_one_layer(
    store: Store, tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    (tmp_path / "rootfs").write_bytes(pack(tar_of({"./etc/passwd": b"x", "./bin/sh": b"y"})))
    manifest = bases(str(tmp_path / "rootfs"), store, AMD64)
    assert names_of(store, manifest) == ["./etc/passwd", "./bin/sh"]
    assert store.load_image(manifest).config.env == (DEFAULT_PATH,)


def test_an_old_file_is_not_read_again_a_fresh_one_is(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rootfs.tar"
    path.write_bytes(tar_of({"etc/a": b"1"}))
    bases(str(path), store, AMD64)
    reads = []
    read = module._tar_layer

    def counted(path: str, store: Store) -> Layer:
        reads.append(path)
        return read(path, store)

    monkeypatch.setattr(module, "_tar_layer", counted)
    bases(str(path), store, AMD64)
    assert len(reads) == 1  # changed within the last seconds: its times prove nothing
    monkeypatch.setattr(module, "_RACY_S", -1)
    bases(str(path), store, AMD64)
    bases(str(path), store, AMD64)
    assert len(reads) == 2


def test_images_in_files_and_layouts_are_found_by_content(store: Store, tmp_path: Path) -> None:
    image = make_image()
    layout = write_layout(tmp_path / "layout", {"x": image})
    archive = tar_directory(layout, tmp_path / "archive")
    assert bases(str(archive), store, AMD64).text == image.digest
    assert bases(f"oci-layout://{layout}:x", store, AMD64).text == image.digest


def test_the_store_comes_before_a_registry(store: Store, tmp_path: Path) -> None:
    fake = FakeRegistry()
    try:
        image = make_image()
        fake.add("app", "1", image)
        name = f"{fake.host}/app:1"
        assert bases(name, store, AMD64).text == image.digest
        asked = len(fake.requests)
        assert bases(f"docker-image://{name}", store, AMD64).text == image.digest
        assert len(fake.requests) == asked
    finally:
        fake.close()
    content = store.read(Digest(image.digest))
    store.tag(Reference.parse("local:1"), Descriptor(image.media_type, Digest(image.digest), len(content)), AMD64)
    assert bases("local:1", store, AMD64).text == image.digest


def test_a_name_with_its_scheme_is_never_a_path(store: Store, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree.parent)
    image = make_image()
    layout = write_layout(tree.parent / "layout", {"x": image})
    manifest = bases(f"oci-layout://{layout}", store, AMD64)
    store.tag(Reference.parse("tree"), Descriptor(image.media_type, manifest, store.size(manifest)), AMD64)
    assert bases("docker-image://tree", store, AMD64) == manifest
    assert bases("tree", store, AMD64) != manifest


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("./missing.tar", "no such file or directory"),
        ("/missing", "no such file or directory"),
        ("Not A Name", "not an image name"),
        ("/dev/null", "neither a file nor a directory"),
        ("docker-image://Bad", "not an image name"),
        ("oci-layout:///missing", "not an OCI image layout"),
    ],
)
def test_what_is_no_base_is_told_with_a_way_out(store: Store, value: str, message: str) -> None:
    with pytest.raises(BaseImageError, match=message) as caught:
        bases(value, store, AMD64)
    assert caught.value.hint


def test_a_file_that_is_no_archive_is_told(store: Store, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("hello" * 200)
    with pytest.raises(BaseImageError, match="neither a tar archive"):
        bases(str(tmp_path / "x"), store, AMD64)


def test_equal_directories_make_equal_images(store: Store, tree: Path, tmp_path: Path) -> None:
    import shutil

    copy = shutil.copytree(tree, tmp_path / "copy", symlinks=True)
    for path in sorted([tree, *tree.rglob("*")], reverse=True):
        times = (10**9, 10**9)
        os.utime(path, times, follow_symlinks=False)
        os.utime(copy / path.relative_to(tree), times, follow_symlinks=False)
    assert bases(str(tree), store, AMD64) == bases(str(copy), store, AMD64)
    assert json.loads(store.read(bases(str(copy), store, AMD64)))["schemaVersion"] == 2
