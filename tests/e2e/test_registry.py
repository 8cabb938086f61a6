"""Pulls from a real registry (Debian's docker-registry), filled by skopeo."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fswatch_builder.errors import BaseImageError, RegistryError
from fswatch_builder.model.digest import Digest
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.registry import pull
from fswatch_builder.oci.store import Store
from tests.support.images import encode, make_image, make_index, write_layout
from tests.support.registry import Registry, basic, docker_registry

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
USER, PASSWORD = "someone", "a secret:with colon"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with docker_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="module")
def closed_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with docker_registry(tmp_path_factory.mktemp("closed"), user=USER, password=PASSWORD) as running:
        yield running


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    with Store.open(str(tmp_path / "store")) as opened:
        yield opened


def log_in(tmp_path: Path, host: str, user: str, password: str) -> None:
    (tmp_path / "docker").mkdir(exist_ok=True)
    auth = basic(user, password).removeprefix("Basic ")
    (tmp_path / "docker" / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))


def test_an_image_is_pulled_whole_and_named(registry: Registry, store: Store, tmp_path: Path) -> None:
    image = make_image([{"one": os.urandom(3 << 20)}, {"two": b"2"}, {"two": b"2"}])
    registry.push(write_layout(tmp_path / "layout", {"t": image}), "t", "team/app:1")
    name = Reference.parse(f"{registry.host}/team/app:1")
    pulled = pull(store, name, AMD64)
    assert pulled.text == image.digest
    loaded = store.load_image(pulled)
    assert loaded.config.cmd == ("sh",)
    assert [layer.descriptor.size for layer in loaded.layers] == [len(blob) for blob in image.layers]
    assert all(store.has(layer.descriptor.digest) for layer in loaded.layers)
    assert store.find(name, AMD64) == pulled


def test_the_platform_is_chosen_from_an_index_also_by_its_digest(
    registry: Registry, store: Store, tmp_path: Path
) -> None:
    amd64, arm64 = make_image(), make_image([{"arm": b""}], architecture="arm64")
    index = make_index({"linux/amd64": amd64, "linux/arm64/v8": arm64})
    layout = write_layout(tmp_path / "layout", {"a": amd64, "b": arm64}, [index])
    entry = {
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "size": len(index),
        "digest": str(Digest.of(index)),
    }
    entry["annotations"] = {"org.opencontainers.image.ref.name": "both"}
    (layout / "index.json").write_bytes(encode({"schemaVersion": 2, "manifests": [entry]}))
    registry.push(layout, "both", "app:multi")
    tagged = Reference.parse(f"{registry.host}/app:multi")
    assert pull(store, tagged, ARM64).text == arm64.digest
    by_digest = Reference.parse(f"{registry.host}/app@{Digest.of(index)}")
    assert pull(store, by_digest, AMD64).text == amd64.digest
    assert store.find(by_digest, ARM64) == Digest(arm64.digest)
    with pytest.raises(BaseImageError, match="not available for linux/s390x") as caught:
        pull(store, tagged, Platform("linux", "s390x"))
    assert caught.value.hint == "it is there for linux/amd64, linux/arm64"


def test_a_missing_image_is_told_by_name(registry: Registry, store: Store) -> None:
    with pytest.raises(RegistryError, match="does not have") as caught:
        pull(store, Reference.parse(f"{registry.host}/no/such:tag"), AMD64)
    assert "no/such:tag" in caught.value.what


def test_credentials_open_a_closed_registry(closed_registry: Registry, store: Store, tmp_path: Path) -> None:
    image = make_image([{"closed": b"1"}])
    closed_registry.push(write_layout(tmp_path / "layout", {"t": image}), "t", "app:1")
    name = Reference.parse(f"{closed_registry.host}/app:1")
    with pytest.raises(RegistryError, match="wants credentials") as anonymous:
        pull(store, name, AMD64)
    assert "docker login" in (anonymous.value.hint or "")
    log_in(tmp_path, closed_registry.host, USER, "wrong password")
    with pytest.raises(RegistryError, match="does not accept the credentials") as refused:
        pull(store, name, AMD64)
    assert "wrong password" not in repr(refused.value) + str(refused.value.hint)
    log_in(tmp_path, closed_registry.host, USER, PASSWORD)
    assert pull(store, name, AMD64).text == image.digest
