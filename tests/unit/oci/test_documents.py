"""Manifests and indexes: hostile ones are refused."""

import json
from typing import Any

import pytest

from fswatch_builder.errors import BaseImageError
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci import documents, media_types
from fswatch_builder.oci.documents import Index, Manifest

SHA = "sha256:" + "a" * 64
AMD64 = Platform("linux", "amd64")


def manifest(**changes: Any) -> bytes:
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_MANIFEST,
        "config": {"mediaType": media_types.OCI_CONFIG, "digest": SHA, "size": 2},
        "layers": [{"mediaType": media_types.OCI_LAYER_GZIP, "digest": SHA, "size": 3}],
    }
    document.update(changes)
    return json.dumps({key: value for key, value in document.items() if value is not None}).encode()


def read(content: bytes, declared: str = "") -> Manifest | Index:
    return documents.read_manifest(content, declared, "the image")


def test_a_document_that_is_manifest_and_index_at_once_is_refused() -> None:
    with pytest.raises(BaseImageError, match="at once"):
        read(manifest(manifests=[]))
    with pytest.raises(BaseImageError, match="at once"):
        read(manifest(manifests=[], config=None))


def test_the_media_type_decides_and_must_agree_with_the_announcement() -> None:
    with pytest.raises(BaseImageError, match="announced as"):
        read(manifest(), media_types.OCI_INDEX)
    with pytest.raises(BaseImageError, match="of the other kind"):
        read(manifest(mediaType=media_types.OCI_INDEX))
    with pytest.raises(BaseImageError, match="of the other kind"):
        read(manifest(mediaType=None), media_types.DOCKER_LIST)
    with pytest.raises(BaseImageError, match="type that is not read"):
        read(manifest(mediaType="application/x"))
    assert isinstance(read(manifest(mediaType=None)), Manifest)
    assert isinstance(read(manifest(mediaType=None), "text/plain"), Manifest)


@pytest.mark.parametrize(
    "digest", ["", "sha256:abc", "sha512:" + "a" * 128, "sha256:" + "A" * 64, "sha256:../../../etc/passwd", SHA + "\n"]
)
def test_digests_are_parsed_strictly(digest: str) -> None:
    with pytest.raises(BaseImageError, match="not a sha256 digest"):
        read(manifest(layers=[{"mediaType": media_types.OCI_LAYER, "digest": digest, "size": 1}]))


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(BaseImageError, match=r"\$\.layers\[0\]\.size|\$\.layers\[\.\.\.\]\.size"):
        read(manifest(layers=[{"mediaType": media_types.OCI_LAYER, "digest": SHA, "size": -1}]))


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"schemaVersion": "2"}'])
def test_what_is_no_document_is_refused(content: bytes) -> None:
    with pytest.raises(BaseImageError, match="the image"):
        read(content)


def test_large_documents_and_many_layers_are_refused() -> None:
    with pytest.raises(BaseImageError, match="larger than"):
        read(b" " * ((16 << 20) + 1))
    with pytest.raises(BaseImageError, match="more than"):
        read(manifest(layers=[{"mediaType": media_types.OCI_LAYER, "digest": SHA, "size": 1}] * 2000))


@pytest.mark.parametrize(
    ("media_type", "why"),
    [
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "not distributed"),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "not distributed"),
        ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", "unknown media type"),
        ("", "unknown media type"),
    ],
)
def test_layers_that_cannot_be_unpacked_are_refused_by_type(media_type: str, why: str) -> None:
    with pytest.raises(BaseImageError, match=why):
        read(manifest(layers=[{"mediaType": media_type, "digest": SHA, "size": 1}]))


def test_an_artifact_is_no_image() -> None:
    helm = {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": SHA, "size": 2}
    with pytest.raises(BaseImageError, match="artifact"):
        read(manifest(config=helm))


def test_a_platform_is_chosen_exactly_before_nearly() -> None:
    def entry(letter: str, architecture: str, variant: str = "") -> dict[str, Any]:
        platform = {"os": "linux", "architecture": architecture, "variant": variant}
        return {
            "mediaType": media_types.OCI_MANIFEST,
            "digest": "sha256:" + letter * 64,
            "size": 1,
            "platform": platform,
        }

    attestation = {**entry("f", "unknown"), "platform": {"os": "unknown", "architecture": "unknown"}}
    index = read(
        manifest(
            mediaType=media_types.OCI_INDEX,
            config=None,
            layers=None,
            manifests=[
                attestation,
                entry("1", "amd64", "v3"),
                entry("2", "amd64"),
                entry("3", "arm64", "v8"),
                entry("4", "arm", "v6"),
            ],
        )
    )
    assert isinstance(index, Index)
    assert index.choose(AMD64, "x").digest.hex == "2" * 64
    assert index.choose(Platform("linux", "arm64"), "x").digest.hex == "3" * 64
    assert index.choose(Platform("linux", "amd64", "v3"), "x").digest.hex == "1" * 64
    assert index.choose(Platform("linux", "arm", "v7"), "x").digest.hex == "4" * 64
    assert index.choose(Platform("linux", "amd64", "v2"), "x").digest.hex == "2" * 64
    with pytest.raises(BaseImageError, match="x is not available for linux/arm/v5"):
        index.choose(Platform("linux", "arm", "v5"), "x")


def test_an_index_of_nothing_holds_no_image() -> None:
    with pytest.raises(BaseImageError, match="the image holds no image"):
        Index(()).choose(AMD64, "the image")
