"""An index of images: under its names, whole, and of each platform its own image."""

import json
import tarfile
from pathlib import Path

import pytest

from fswatch_builder.errors import BaseImageError, StoreError
from fswatch_builder.model.digest import Digest
from fswatch_builder.model.image import Descriptor
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci import media_types
from fswatch_builder.oci.archive import load_archive
from fswatch_builder.oci.index import Member
from fswatch_builder.oci.keeping.contents import blobs_of
from fswatch_builder.oci.keeping.prune import Wish, prune
from fswatch_builder.oci.lookup import find_image, find_index, list_images
from fswatch_builder.oci.output import NamedImage, write_archive, write_directory
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.store import Store
from tests.support.images import MadeImage, digest, encode, make_image, make_index
from tests.support.stores import listed

AMD64, ARM64, ARM_V7 = Platform("linux", "amd64"), Platform("linux", "arm64"), Platform("linux", "arm", "v7")
APP = Reference.parse("app:1")
IMAGES = {
    "linux/arm64": make_image([{"f": b"arm64"}], architecture="arm64"),
    "linux/amd64": make_image([{"f": b"amd64"}], architecture="amd64"),
    "linux/arm/v7": make_image([{"f": b"arm"}], architecture="arm", variant="v7"),
}


def put(store: Store, images: dict[str, MadeImage] | None = None, name: Reference = APP) -> Descriptor:
    """An index of images under a name."""
    members = []
    for platform, image in (IMAGES if images is None else images).items():
        for content in image.blobs.values():
            store.put(content)
        manifest = Descriptor(image.media_type, Digest(image.digest), len(image.manifest))
        members.append(Member(manifest, Platform.parse(platform)))
    index = store.put_index(members, {"a": "b"})
    store.tag(name, index, None)
    return index


def test_it_keeps_the_order_and_the_same_images_make_the_same_bytes(store: Store) -> None:
    index = put(store)
    assert put(store) == index
    document = json.loads(store.read(index.digest))
    assert document["mediaType"] == media_types.OCI_INDEX
    assert document["annotations"] == {"a": "b"}
    assert [entry["platform"] for entry in document["manifests"]] == [
        {"architecture": "arm64", "os": "linux"},
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm", "os": "linux", "variant": "v7"},
    ]


@pytest.mark.parametrize(
    ("platform", "found"),
    [
        (AMD64, "linux/amd64"),
        (ARM64, "linux/arm64"),
        (ARM_V7, "linux/arm/v7"),
        (Platform("linux", "amd64", "v3"), "linux/amd64"),
        (Platform("linux", "arm", "v8"), "linux/arm/v7"),
        (Platform("linux", "arm", "v6"), None),
        (Platform("linux", "s390x"), None),
    ],
)
def test_a_name_stands_for_the_best_that_a_platform_runs(store: Store, platform: Platform, found: str | None) -> None:
    put(store)
    digest_of = None if found is None else IMAGES[found].digest
    by_name = store.find(APP, platform)
    assert (None if by_name is None else by_name.text) == digest_of
    if found is None:
        with pytest.raises(BaseImageError, match="is not available") as caught:
            store.find(Reference.parse(f"app@{store.names.named(APP)[0].digest}"), platform)
        assert "it is there for linux/amd64, linux/arm/v7, linux/arm64" in (caught.value.hint or "")


def test_a_name_is_an_index_or_images_and_never_both(store: Store) -> None:
    index = put(store)
    assert [entry.digest for entry in store.names.named(APP)] == [index.digest]
    alone = IMAGES["linux/amd64"]
    store.tag(APP, Descriptor(alone.media_type, Digest(alone.digest), len(alone.manifest)), AMD64)
    assert [entry.digest.text for entry in store.names.named(APP)] == [alone.digest]
    assert store.find(APP, ARM64) is None
    put(store)
    assert [entry.digest for entry in store.names.named(APP)] == [index.digest]


def test_all_of_it_is_needed_as_long_as_it_has_a_name(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "store")) as store:
        index = put(store)
        everything = {Digest(name) for image in IMAGES.values() for name in image.blobs} | {index.digest}
        assert blobs_of(store, index.digest) == everything
        store.put(b"of no image")
    with Store.open(str(tmp_path / "store")) as store:
        prune(store, Wish())
        assert all(store.has(digest) for digest in everything)
        assert not store.has(Digest.of(b"of no image"))
    with Store.open(str(tmp_path / "store")) as store:
        prune(store, Wish(images=True))
        assert not any(store.has(digest) for digest in everything)
        assert listed(store) == []


def test_an_image_of_it_that_is_used_keeps_it_and_its_others_too(tmp_path: Path) -> None:
    """A build from one platform's image must not lose the name to a prune beside it."""
    with Store.open(str(tmp_path / "store")) as store:
        index = put(store)
    with Store.open(str(tmp_path / "store")) as user:
        assert user.find(APP, ARM64) is not None
        with Store.open(str(tmp_path / "store")) as other:
            pruned = prune(other, Wish(images=True))
        assert [candidate.what for candidate in pruned.in_use] == ["image app:1"]
        assert user.load_image(user.find(APP, AMD64) or index.digest).platform == AMD64


def test_the_list_has_each_image_with_the_names(store: Store) -> None:
    index = put(store)
    store.tag(Reference.parse("also:2"), index, None)
    images = list_images(store).images
    assert [str(image.platform) for image in images] == ["linux/arm64", "linux/amd64", "linux/arm/v7"]
    assert {image.index for image in images} == {index.digest}
    assert [name.familiar() for name in images[0].names] == ["also:2", "app:1"]
    assert [str(image.platform) for image in listed(store)] == [str(image.platform) for image in images] * 2


def test_it_is_found_by_name_digest_and_the_start_of_one(store: Store) -> None:
    index = put(store)
    for text in ("app:1", str(index.digest), index.digest.hex[:12], f"app@{index.digest}"):
        assert find_index(store, text) == index.digest
        assert find_image(store, text, ARM64).manifest.text == IMAGES["linux/arm64"].digest
    config = find_image(store, "app:1", ARM64).config
    assert find_index(store, config.hex[:12]) is None
    assert find_index(store, str(config)) is None
    assert find_index(store, "nothing") is None
    assert find_image(store, config.hex).platform == ARM64


def test_an_image_in_two_indexes_is_one_thing_by_its_id(store: Store) -> None:
    put(store)
    put(store, {"linux/arm64": IMAGES["linux/arm64"]}, Reference.parse("small:1"))
    config = find_image(store, "app:1", ARM64).config
    assert find_image(store, config.hex[:12]).config == config


def test_a_missing_layer_of_one_image_is_told(store: Store, tmp_path: Path) -> None:
    index = put(store)
    (tmp_path / "store/blobs/sha256" / digest(IMAGES["linux/amd64"].layers[0]).removeprefix("sha256:")).unlink()
    assert not store.is_whole(index.digest)
    with pytest.raises(StoreError, match="is missing"):
        write_archive(store, [NamedImage(index, (APP,))], "oci", str(tmp_path / "out.tar"))
    assert not (tmp_path / "out.tar").exists()


def test_a_layout_of_it_has_one_entry_for_each_name_and_every_blob(store: Store, tmp_path: Path) -> None:
    index = put(store)
    write_directory(store, [NamedImage(index, (APP, Reference.parse("also")))], "oci", str(tmp_path / "out"))
    entries = json.loads((tmp_path / "out/index.json").read_text())["manifests"]
    assert [entry["digest"] for entry in entries] == [str(index.digest)] * 2
    assert all("platform" not in entry for entry in entries)
    names = {path.name for path in (tmp_path / "out/blobs/sha256").iterdir()}
    assert names == {found.hex for found in blobs_of(store, index.digest)}


def test_what_old_engines_read_of_it_is_this_machine_s_image(store: Store, tmp_path: Path) -> None:
    here = {str(Platform.host()): make_image([{"f": b"here"}], architecture=Platform.host().architecture)}
    index = put(store, {"linux/s390x": make_image(architecture="s390x"), **here})
    write_archive(store, [NamedImage(index, (APP,))], "docker", str(tmp_path / "out.tar"))
    with tarfile.open(tmp_path / "out.tar") as tar:
        member = tar.extractfile("manifest.json")
        assert member is not None
        (saved,) = json.load(member)
    (image,) = here.values()
    assert saved["Config"] == f"blobs/sha256/{digest(image.config).removeprefix('sha256:')}"
    assert saved["RepoTags"] == ["app:1"]


def test_what_was_saved_is_loaded_again_whole(store: Store, tmp_path: Path) -> None:
    index = put(store)
    write_archive(store, [NamedImage(index, (APP,))], "oci", str(tmp_path / "app.tar"))
    with Store.open(str(tmp_path / "other")) as other:
        assert load_archive(other, str(tmp_path / "app.tar"), None) == [(index.digest, ("docker.io/library/app:1",))]
        assert blobs_of(other, index.digest) == blobs_of(store, index.digest)
    with Store.open(str(tmp_path / "third")) as third:
        ((one, _),) = load_archive(third, str(tmp_path / "app.tar"), ARM64)
        assert one.text == IMAGES["linux/arm64"].digest
        assert not third.has(index.digest)


def with_attestation(images: dict[str, MadeImage]) -> tuple[bytes, dict[str, bytes]]:
    """An index as BuildKit writes it, and all blobs of it."""
    statement = encode({"_type": "https://in-toto.io/Statement/v0.1"})
    config = encode({"architecture": "unknown", "os": "unknown", "config": {}, "rootfs": {"type": "layers"}})
    manifest = encode(
        {
            "schemaVersion": 2,
            "mediaType": media_types.OCI_MANIFEST,
            "config": {"mediaType": media_types.OCI_CONFIG, "digest": digest(config), "size": len(config)},
            "layers": [
                {"mediaType": "application/vnd.in-toto+json", "digest": digest(statement), "size": len(statement)}
            ],
        }
    )
    index = json.loads(make_index(images))
    index["manifests"].append(
        {
            "mediaType": media_types.OCI_MANIFEST,
            "digest": digest(manifest),
            "size": len(manifest),
            "platform": {"architecture": "unknown", "os": "unknown"},
            "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
        }
    )
    content = encode(index)
    blobs = {digest(one): one for one in (statement, config, manifest, content)}
    for image in images.values():
        blobs |= image.blobs
    return content, blobs


def archive(path: Path, index: bytes, blobs: dict[str, bytes]) -> str:
    layout = path.with_suffix("")
    (layout / "blobs/sha256").mkdir(parents=True)
    for name, content in blobs.items():
        (layout / "blobs/sha256" / name.removeprefix("sha256:")).write_bytes(content)
    entry = {
        "mediaType": media_types.OCI_INDEX,
        "digest": digest(index),
        "size": len(index),
        "annotations": {"io.containerd.image.name": "docker.io/library/app:1"},
    }
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (layout / "index.json").write_bytes(encode({"schemaVersion": 2, "manifests": [entry]}))
    with tarfile.open(path, "w") as tar:
        tar.add(layout, ".")
    return str(path)


def test_attestations_stay_with_it(store: Store, tmp_path: Path) -> None:
    index, blobs = with_attestation(IMAGES)
    ((loaded, names),) = load_archive(store, archive(tmp_path / "app.tar", index, blobs), None)
    assert loaded.text == digest(index)
    for name in names:
        store.tag(Reference.parse(name), Descriptor(media_types.OCI_INDEX, loaded, len(index)), None)
    assert {found.text for found in blobs_of(store, loaded)} == set(blobs)
    assert [str(image.platform) for image in list_images(store).images] == list(IMAGES)
    described = Descriptor(media_types.OCI_INDEX, loaded, len(index))
    write_directory(store, [NamedImage(described, (APP,))], "oci", str(tmp_path / "out"))
    assert {path.name for path in (tmp_path / "out/blobs/sha256").iterdir()} == {
        name.removeprefix("sha256:") for name in blobs
    }


def test_of_an_archive_that_lacks_images_those_are_loaded_that_are_there(store: Store, tmp_path: Path) -> None:
    """As docker save --platform writes it."""
    index = make_index(IMAGES)
    blobs = {digest(index): index, **IMAGES["linux/arm64"].blobs}
    ((loaded, _),) = load_archive(store, archive(tmp_path / "app.tar", index, blobs), None)
    assert [str(member.platform) for member in store.members(loaded)] == ["linux/arm64"]
    store.tag(APP, Descriptor(media_types.OCI_INDEX, loaded, len(index)), None)
    assert store.find(APP, AMD64) is None
    assert store.find(APP, ARM64) is not None


def test_a_damaged_image_of_an_archive_is_told(store: Store, tmp_path: Path) -> None:
    index, blobs = with_attestation(IMAGES)
    blobs[digest(IMAGES["linux/amd64"].layers[0])] = b"other"
    with pytest.raises(BaseImageError, match="is damaged"):
        load_archive(store, archive(tmp_path / "app.tar", index, blobs), None)
