"""Outputs: parsed as docker does, valid, deterministic, whole or not at all."""

import errno
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fswatch_builder import _native
from fswatch_builder.errors import OutputError, StoreError
from fswatch_builder.model.digest import Digest
from fswatch_builder.model.image import Descriptor
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci import media_types, output
from fswatch_builder.oci.layout import import_layout
from fswatch_builder.oci.output import NamedImage, write_archive, write_directory
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.store import Store
from fswatch_builder.oci.validate import validate
from tests.support.images import encode, make_image, write_layout

AMD64 = Platform("linux", "amd64")
NAMES = (Reference.parse("app:1"), Reference.parse("ghcr.io/team/app:2"))


@pytest.fixture
def manifest(store: Store, tmp_path: Path) -> Descriptor:
    image = make_image([{"a": b"1"}, {"b": os.urandom(5000)}])
    digest = import_layout(store, str(write_layout(tmp_path / "source", {"x": image})), AMD64)
    return store.put_image(store.load_image(digest))


def test_an_archive_holds_the_image_under_all_names_and_nothing_of_the_host(
    store: Store, manifest: Descriptor, tmp_path: Path
) -> None:
    path = tmp_path / "x.tar"
    write_archive(store, [NamedImage(manifest, NAMES)], "oci", str(path))
    with tarfile.open(path) as tar:
        found = tar.getmembers()
        index = json.loads((tar.extractfile("index.json") or io.BytesIO()).read())
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in found} == {(0, 0, 0, "", "")}
    assert [m.name for m in found] == sorted(m.name for m in found)
    assert [e["annotations"]["io.containerd.image.name"] for e in index["manifests"]] == [
        "docker.io/library/app:1",
        "ghcr.io/team/app:2",
    ]
    assert [e["annotations"]["org.opencontainers.image.ref.name"] for e in index["manifests"]] == ["1", "2"]
    assert {e["digest"] for e in index["manifests"]} == {manifest.digest.text}
    again = tmp_path / "y.tar"
    write_archive(store, [NamedImage(manifest, NAMES)], "oci", str(again))
    assert path.read_bytes() == again.read_bytes()


def test_a_docker_archive_says_what_to_load(store: Store, manifest: Descriptor, tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    write_archive(store, [NamedImage(manifest, NAMES)], "docker", str(path))
    with tarfile.open(path) as tar:
        (entry,) = json.loads((tar.extractfile("manifest.json") or io.BytesIO()).read())
        names = tar.getnames()
    assert entry["RepoTags"] == ["app:1", "ghcr.io/team/app:2"]
    assert {entry["Config"], *entry["Layers"]} < set(names)


def test_several_images_share_one_archive_and_its_blobs(store: Store, tmp_path: Path) -> None:
    images = []
    for name, own in (("a:1", b"1"), ("b:1", b"2")):
        made = make_image([{"shared": b"x" * 1000}, {"own": own}])
        digest = import_layout(store, str(write_layout(tmp_path / name, {"x": made})), AMD64)
        images.append(NamedImage(store.put_image(store.load_image(digest)), (Reference.parse(name),)))
    path = tmp_path / "x.tar"
    write_archive(store, images, "docker", str(path))
    with tarfile.open(path) as tar:
        saved = json.loads((tar.extractfile("manifest.json") or io.BytesIO()).read())
        index = json.loads((tar.extractfile("index.json") or io.BytesIO()).read())
        names = tar.getnames()
    assert [entry["RepoTags"] for entry in saved] == [["a:1"], ["b:1"]]
    assert len(index["manifests"]) == 2
    assert saved[0]["Layers"][0] == saved[1]["Layers"][0]
    assert len(names) == len(set(names))


def test_j10_equal_layers_are_written_once_and_listed_each_time(store: Store, tmp_path: Path) -> None:
    image = make_image([{"a": b"1"}] * 3)
    digest = import_layout(store, str(write_layout(tmp_path / "source", {"x": image})), AMD64)
    again = store.put_image(store.load_image(digest))
    path = tmp_path / "x.tar"
    write_archive(store, [NamedImage(again, NAMES)], "docker", str(path))
    with tarfile.open(path) as tar:
        (entry,) = json.loads((tar.extractfile("manifest.json") or io.BytesIO()).read())
        names = tar.getnames()
    assert len(entry["Layers"]) == 3
    assert names.count(entry["Layers"][0]) == 1


def test_a_directory_is_a_layout_and_replaces_one(store: Store, manifest: Descriptor, tmp_path: Path) -> None:
    for _ in range(2):
        write_directory(store, [NamedImage(manifest, NAMES[:1])], "oci", str(tmp_path / "out"))
        assert sorted(os.listdir(tmp_path / "out")) == ["blobs", "index.json", "oci-layout"]
        assert import_layout(store, str(tmp_path / "out"), AMD64) == manifest.digest
    (tmp_path / "empty").mkdir()
    write_directory(store, [NamedImage(manifest)], "oci", str(tmp_path / "empty"))
    assert import_layout(store, str(tmp_path / "empty"), AMD64) == manifest.digest
    assert [name for name in os.listdir(tmp_path) if name.endswith(".tmp")] == []


def test_where_directories_cannot_be_exchanged_they_are_moved_in_turn(
    store: Store, manifest: Descriptor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_directory(store, [NamedImage(manifest)], "oci", str(tmp_path / "out"))

    def cannot(one: bytes, other: bytes) -> None:
        raise OSError(errno.EINVAL, "renameat2")

    monkeypatch.setattr(_native, "exchange", cannot)
    write_directory(store, [NamedImage(manifest, NAMES)], "oci", str(tmp_path / "out"))
    assert len(json.loads((tmp_path / "out" / "index.json").read_text())["manifests"]) == 2
    assert sorted(os.listdir(tmp_path)) == ["out", "source", "store"]


def test_directories_with_other_things_are_never_replaced(store: Store, manifest: Descriptor, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "thesis.tex").write_text("years")
    for dest in (str(work), store.directory):
        with pytest.raises(OutputError, match=r"would be lost|store itself"):
            write_directory(store, [NamedImage(manifest)], "oci", dest)
    (work / "oci-layout").write_text("{}")
    with pytest.raises(OutputError, match="would be lost"):
        write_directory(store, [NamedImage(manifest)], "oci", str(work))
    with pytest.raises(OutputError, match="Is a directory"):
        write_archive(store, [NamedImage(manifest)], "oci", str(work))
    with pytest.raises(OutputError, match="is a file"):
        write_directory(store, [NamedImage(manifest)], "oci", str(work / "thesis.tex"))
    assert (work / "thesis.tex").read_text() == "years"


@pytest.mark.parametrize(("write", "document"), [(write_archive, "out"), (write_directory, "out/index.json")])
def test_a_full_disk_leaves_what_was_there(
    store: Store,
    manifest: Descriptor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[..., None],
    document: str,
) -> None:
    write(store, [NamedImage(manifest, NAMES)], "oci", str(tmp_path / "out"))
    before = (tmp_path / document).read_bytes()

    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(output, "_copy", full)
    with pytest.raises(OutputError, match="No space left on device") as caught:
        write(store, [NamedImage(manifest)], "oci", str(tmp_path / "out"))
    assert "free some space" in (caught.value.hint or "")
    assert (tmp_path / document).read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["out", "source", "store"]


def test_a_device_or_pipe_is_written_to_not_replaced(store: Store, manifest: Descriptor, tmp_path: Path) -> None:
    os.symlink("/dev/null", tmp_path / "link")
    write_archive(store, [NamedImage(manifest)], "oci", str(tmp_path / "link"))
    assert os.path.samefile(tmp_path / "link", "/dev/null")
    (tmp_path / "target").write_text("old")
    os.symlink("target", tmp_path / "file-link")
    write_archive(store, [NamedImage(manifest)], "oci", str(tmp_path / "file-link"))
    assert (tmp_path / "file-link").is_symlink()
    assert tarfile.is_tarfile(tmp_path / "target")


def test_a_link_that_the_kernel_does_not_follow_is_not_followed(
    store: Store, manifest: Descriptor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "target").write_text("old")
    planted = tmp_path / "link"
    planted.symlink_to("target")
    real_stat = os.stat

    def stat(path: Any, **how: Any) -> os.stat_result:
        if path == str(planted) and how.get("follow_symlinks", True):  # as with fs.protected_symlinks=1
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return real_stat(path, **how)

    monkeypatch.setattr(os, "stat", stat)
    with pytest.raises(OutputError, match="Permission denied"):
        write_archive(store, [NamedImage(manifest)], "oci", str(planted))
    assert (tmp_path / "target").read_text() == "old"


def test_a_missing_directory_is_told(store: Store, manifest: Descriptor, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file or directory"):
        write_archive(store, [NamedImage(manifest)], "oci", str(tmp_path / "no" / "x.tar"))


def test_an_incomplete_image_is_not_written(store: Store, manifest: Descriptor, tmp_path: Path) -> None:
    layer = store.load_image(manifest.digest).layers[0].descriptor
    path = Path(store.blob_path(layer.digest))
    content = path.read_bytes()
    path.write_bytes(content + b"x")
    with pytest.raises(StoreError, match="bytes, not"):
        write_archive(store, [NamedImage(manifest)], "oci", str(tmp_path / "x.tar"))
    path.unlink()
    with pytest.raises(StoreError, match="is missing"):
        write_archive(store, [NamedImage(manifest)], "oci", str(tmp_path / "x.tar"))
    assert not (tmp_path / "x.tar").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config": {"mediaType": media_types.DOCKER_CONFIG}}, "mixes media types"),
        ({"layer": {"mediaType": media_types.DOCKER_LAYER_GZIP}}, "mixes media types"),
    ],
)
def test_an_image_of_mixed_families_is_not_valid(
    store: Store, manifest: Descriptor, change: dict[str, Any], message: str
) -> None:
    document = json.loads(store.read(manifest.digest))
    document["config"].update(change.get("config", {}))
    document["layers"][0].update(change.get("layer", {}))
    content = encode(document)
    with pytest.raises(OutputError, match=message):
        validate(store, Descriptor(media_types.OCI_MANIFEST, store.put(content), len(content)))
    with pytest.raises(OutputError, match="not an OCI manifest"):
        validate(store, Descriptor(media_types.DOCKER_MANIFEST, manifest.digest, manifest.size))


def test_an_archive_that_is_there_already_is_not_written_again(
    store: Store, manifest: Descriptor, tmp_path: Path
) -> None:
    path = tmp_path / "x.tar"
    images = [NamedImage(manifest, NAMES)]
    write_archive(store, images, "oci", str(path))
    os.utime(path, (1, 1))
    before = os.stat(path)
    write_archive(store, images, "oci", str(path))
    after = os.stat(path)
    assert after.st_ino == before.st_ino
    assert after.st_mtime > 1  # whoever goes by times sees that it is new


@pytest.mark.parametrize("change", ["first byte", "last byte", "longer", "shorter", "of a blob"])
def test_an_archive_that_differs_anywhere_is_written_anew(
    store: Store, manifest: Descriptor, tmp_path: Path, change: str
) -> None:
    path = tmp_path / "x.tar"
    images = [NamedImage(manifest, NAMES)]
    write_archive(store, images, "oci", str(path))
    right = path.read_bytes()
    wrong = bytearray(right)
    match change:
        case "first byte":
            wrong[0] ^= 1
        case "last byte":
            wrong[-1] ^= 1
        case "longer":
            wrong += bytes(512)
        case "shorter":
            del wrong[-512:]
        case _:
            wrong[len(wrong) // 2] ^= 1
    path.write_bytes(wrong)
    write_archive(store, images, "oci", str(path))
    assert path.read_bytes() == right


def test_damage_in_the_store_is_told_though_the_archive_is_there(
    store: Store, manifest: Descriptor, tmp_path: Path
) -> None:
    path = tmp_path / "x.tar"
    images = [NamedImage(manifest, NAMES)]
    write_archive(store, images, "oci", str(path))
    layer = store.load_image(manifest.digest).layers[-1].descriptor
    with open(store.blob_path(layer.digest), "r+b") as blob:
        blob.write(b"damage")
    with pytest.raises(StoreError, match="is damaged"):
        write_archive(store, images, "oci", str(path))


def test_an_image_of_others_with_a_history_that_does_not_fit_goes_out_as_it_came(
    store: Store, manifest: Descriptor, tmp_path: Path
) -> None:
    document = json.loads(store.read(manifest.digest))
    config = json.loads(store.read(Digest(document["config"]["digest"])))
    content = encode({**config, "history": [{"created_by": "x"}] * 9})
    document["config"].update(digest=store.put(content).text, size=len(content))
    content = encode(document)
    odd = Descriptor(media_types.OCI_MANIFEST, store.put(content), len(content))
    write_directory(store, [NamedImage(odd)], "oci", str(tmp_path / "out"))
    assert (tmp_path / "out/blobs/sha256" / odd.digest.hex).read_bytes() == content
