"""What we write is read by tools no one here wrote: skopeo, umoci and buildah."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fswatch_builder.build.bases import bases
from fswatch_builder.model.digest import DiffID, Digest
from fswatch_builder.model.image import Descriptor, Image, Layer
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci import media_types
from fswatch_builder.oci.compression import Compression
from fswatch_builder.oci.output import Form, NamedImage, write_archive, write_directory
from fswatch_builder.oci.packing import Recipe, compressing
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.store import Store
from tests.support.images import make_image, tar_of, write_layout
from tests.support.registry import need

AMD64 = Platform("linux", "amd64")
NAME = Reference.parse("app:1.0")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as opened:
        yield opened


@pytest.fixture
def manifest(store: Store, tmp_path: Path) -> Descriptor:
    image = make_image([{"etc/a": b"1"}, {"etc/b": b"x" * 100_000}], config={"Cmd": ["run"], "Labels": {"k": "v"}})
    digest = bases(f"oci-layout://{write_layout(tmp_path / 'source', {'x': image})}", store, AMD64)
    return store.put_image(store.load_image(digest))


def skopeo(*arguments: str) -> str:
    command = ["skopeo", "--insecure-policy", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def inspect(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(skopeo("inspect", "--config", name))
    return found


@pytest.mark.parametrize(
    ("write", "form", "source"),
    [
        (write_directory, "oci", "oci:{}:1.0"),
        (write_directory, "docker", "oci:{}:1.0"),
        (write_archive, "oci", "oci-archive:{}:1.0"),
        (write_archive, "docker", "docker-archive:{}:app:1.0"),
        (write_archive, "docker", "oci-archive:{}:1.0"),
    ],
)
def test_skopeo_reads_and_copies_every_output(
    store: Store, manifest: Descriptor, tmp_path: Path, write: Callable[..., None], form: Form, source: str
) -> None:
    need("skopeo")
    write(store, [NamedImage(manifest, (NAME,))], form, str(tmp_path / "out"))
    name = source.format(tmp_path / "out")
    assert inspect(name)["config"] == {"Cmd": ["run"], "Labels": {"k": "v"}}
    skopeo("copy", "--quiet", name, f"dir:{tmp_path}/copy")
    diff_ids = json.loads(store.read(config_of(store, manifest)))["rootfs"]["diff_ids"]
    assert inspect(name)["rootfs"]["diff_ids"] == diff_ids


@pytest.mark.root
@pytest.mark.parametrize(
    ("write", "form", "transport"),
    [
        (write_archive, "docker", "docker-archive"),
        (write_archive, "oci", "oci-archive"),
        (write_directory, "docker", "oci"),
    ],
)
def test_buildah_pulls_every_output_into_its_storage(
    store: Store, manifest: Descriptor, tmp_path: Path, write: Callable[..., None], form: Form, transport: str
) -> None:
    """By the libraries of podman load: layers are unpacked there."""
    need("buildah")
    write(store, [NamedImage(manifest, (NAME,))], form, str(tmp_path / "out"))
    buildah = ["buildah", "--root", f"{tmp_path}/storage", "--runroot", f"{tmp_path}/run", "--storage-driver", "vfs"]
    command = [*buildah, "pull", "--quiet", f"{transport}:{tmp_path}/out"]
    pulled = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert pulled.returncode == 0, pulled.stderr
    assert pulled.stdout.strip() == config_of(store, manifest).hex


def config_of(store: Store, manifest: Descriptor) -> Digest:
    return Digest(json.loads(store.read(manifest.digest))["config"]["digest"])


def test_the_store_itself_is_a_layout_that_skopeo_reads(store: Store, manifest: Descriptor) -> None:
    need("skopeo")
    store.tag(NAME, manifest, AMD64)
    assert inspect(f"oci:{store.directory}:1.0")["config"]["Cmd"] == ["run"]


@pytest.mark.parametrize("compression", Compression)
def test_skopeo_reads_layers_of_every_compression(store: Store, tmp_path: Path, compression: Compression) -> None:
    need("skopeo")
    tar = tar_of({"a": os.urandom(200_000)})
    with compressing(store, Recipe(compression)) as sink:
        with open(sink.fd, "wb", closefd=False) as file:
            file.write(tar)
        digest, size = sink.finish()
    layer = Layer(Descriptor(compression.layer_media_type, digest, size), DiffID(Digest.of(tar).text))
    manifest = store.put_image(Image(AMD64, layers=(layer,)))
    assert manifest.media_type == media_types.OCI_MANIFEST
    path = tmp_path / "out"
    write_directory(store, [NamedImage(manifest, (NAME,))], "oci", str(path))
    skopeo("copy", "--quiet", "--dest-decompress", f"oci:{path}:1.0", f"dir:{tmp_path}/copy")
    assert (tmp_path / "copy" / layer.diff_id.hex).read_bytes() == tar


@pytest.mark.root
def test_umoci_unpacks_an_imported_directory(store: Store, tmp_path: Path) -> None:
    need("umoci")
    tree = tmp_path / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc" / "passwd").write_text("root:x:0:0::/:/bin/sh\n")
    os.link(tree / "etc" / "passwd", tree / "hard")
    os.symlink("etc/passwd", tree / "soft")
    os.chmod(tree / "etc", 0o2750)
    digest = bases(str(tree), store, AMD64)
    manifest = Descriptor(media_types.OCI_MANIFEST, digest, store.size(digest))
    path = tmp_path / "out"
    write_directory(store, [NamedImage(manifest, (NAME,))], "oci", str(path))
    subprocess.run(
        ["umoci", "unpack", "--image", f"{path}:1.0", str(tmp_path / "bundle")],
        check=True,
        capture_output=True,
        timeout=60,
    )
    unpacked = tmp_path / "bundle" / "rootfs"
    assert (unpacked / "etc" / "passwd").read_text() == "root:x:0:0::/:/bin/sh\n"
    assert (unpacked / "hard").samefile(unpacked / "etc" / "passwd")
    assert os.readlink(unpacked / "soft") == "etc/passwd"
    assert (unpacked / "etc").stat().st_mode & 0o7777 == 0o2750
