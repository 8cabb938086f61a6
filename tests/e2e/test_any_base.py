"""Every form that a base comes in: its layers are used as they are, byte for byte, and unpack to what they mean."""

import bz2
import gzip
import json
import lzma
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
import zstandard

from fswatch_builder.errors import BaseImageError
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci.limits import UnpackLimits
from fswatch_builder.oci.store import Store
from tests.support.builds import Workshop
from tests.support.images import MadeImage, digest, encode, make_image, make_index, tar_directory, write_layout

pytestmark = pytest.mark.root

LAYERS = ({"etc/x": b"x", "etc/gone": b"g"}, {"etc/.wh.gone": b"", "etc/y": b"y"})
DOCKERFILE = "FROM base\nCOPY --from=base /etc /got\n"


def zstd(plain: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(plain)


def estargz(plain: bytes) -> bytes:
    """A gzip member a chunk, then the table of contents in an empty member's extra field (its place counts here)."""
    extra = b"SG\x16\x00" + b"%016xSTARGZ" % 0
    footer = b"\x1f\x8b\x08\x04" + bytes(5) + b"\xff" + len(extra).to_bytes(2, "little") + extra
    chunks = b"".join(gzip.compress(plain[at : at + 512]) for at in range(0, len(plain), 512))
    return chunks + footer + b"\x01\x00\x00\xff\xff" + bytes(8)


def zstd_chunked(plain: bytes) -> bytes:
    """Frames, then the table of contents in a frame that readers skip."""
    table = b"\x50\x2a\x4d\x18\x05\x00\x00\x00table"
    return zstd(plain[:512]) + zstd(plain[512:]) + table


PACKED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "uncompressed": (bytes, ""),
    "gzip": (gzip.compress, "gzip"),
    "zstd": (zstd, "zstd"),
    "eStargz": (estargz, "gzip"),
    "zstd:chunked": (zstd_chunked, "zstd"),
}


def saved(place: Path, image: MadeImage, plain: list[bytes]) -> Path:
    """As docker save wrote it before version 25."""
    config = f"{digest(image.config)[7:]}.json"
    names = [f"{digest(layer)[7:]}/layer.tar" for layer in plain]
    with tarfile.open(place / "saved.tar", "w") as tar:
        for name, content in (
            *zip(names, plain, strict=True),
            (config, image.config),
            ("manifest.json", encode([{"Config": config, "RepoTags": ["base:1"], "Layers": names}])),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, BytesIO(content))
    return place / "saved.tar"


def packed(path: Path, pack: Callable[[bytes], bytes]) -> Path:
    path.write_bytes(pack(path.read_bytes()))
    return path


def layout(place: Path, image: MadeImage) -> Path:
    return write_layout(place / "layout", {"1": image})


def indexed(made: Path, index: bytes) -> Path:
    """The layout has that index, and nothing else to choose."""
    entry = {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest(index), "size": len(index)}
    (made / "index.json").write_bytes(encode({"schemaVersion": 2, "manifests": [entry]}))
    return made


def two_platforms(place: Path, image: MadeImage) -> Path:
    other = make_image([{"other": b""}], architecture="s390x")
    index = make_index({"linux/s390x": other, "linux/amd64": image, "linux/arm64": image})
    return indexed(write_layout(place / "layout", {"1": image, "2": other}, [index]), index)


def new_docker(place: Path, image: MadeImage) -> Path:
    made = layout(place, image)
    (made / "manifest.json").write_bytes(encode([{"Config": "x", "RepoTags": ["base:1"], "Layers": []}]))
    return tar_directory(made, place / "new.tar")


FORMS: dict[str, Callable[[Path, MadeImage], str]] = {
    "layout": lambda place, image: f"oci-layout://{layout(place, image)}",
    "layout of two platforms": lambda place, image: f"oci-layout://{two_platforms(place, image)}",
    "OCI archive": lambda place, image: str(tar_directory(layout(place, image), place / "a.tar")),
    "OCI archive, gzip": lambda place, image: str(
        packed(tar_directory(layout(place, image), place / "a"), gzip.compress)
    ),
    "docker archive, new": lambda place, image: str(new_docker(place, image)),
}


def check_content(workshop: Workshop, base: str) -> None:
    result = workshop.build(DOCKERFILE, contexts={"base": base})
    layer = result.built.image.layers[-1]
    assert [member.name for member in result.members(layer)] == ["got", "got/x", "got/y"]
    assert result.text(layer, "got/x") == "x"


@pytest.mark.parametrize("compression", PACKED)
@pytest.mark.parametrize("form", FORMS)
def test_layers_of_an_image_stay_as_they_are(workshop: Workshop, tmp_path: Path, form: str, compression: str) -> None:
    pack, kind = PACKED[compression]
    image = make_image(LAYERS, pack=pack, compression=kind)
    base = FORMS[form](tmp_path, image)
    check_content(workshop, base)
    result = workshop.build(DOCKERFILE, contexts={"base": base})
    with Store.open(result.store) as store:
        for layer, blob, diff_id in zip(
            result.built.image.layers[:-1],
            image.layers,
            json.loads(image.config)["rootfs"]["diff_ids"],
            strict=True,
        ):
            assert Path(store.blob_path(layer.descriptor.digest)).read_bytes() == blob
            assert layer.diff_id.text == diff_id


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd], ids=["plain", "gzip", "zstd"])
def test_an_old_docker_archive(workshop: Workshop, tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    image = make_image(LAYERS)
    plain = [gzip.decompress(layer) for layer in image.layers]
    base = packed(saved(tmp_path, image, plain), pack)
    check_content(workshop, str(base))


@pytest.mark.parametrize(
    "pack", [bytes, gzip.compress, bz2.compress, lzma.compress, zstd], ids=["plain", "gzip", "bzip2", "xz", "zstd"]
)
def test_a_root_file_system_in_a_tar(workshop: Workshop, tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/x").write_text("x")
    (root / "etc/y").write_text("y")
    check_content(workshop, str(root))
    check_content(workshop, str(packed(tar_directory(root, tmp_path / "root.tar"), pack)))


@pytest.mark.parametrize("lie", ["diffID", "blob on disk"])
@pytest.mark.parametrize("compression", PACKED)
def test_a_layer_that_is_not_what_it_says_is_one_error_that_names_it(
    workshop: Workshop, tmp_path: Path, compression: str, lie: str
) -> None:
    pack, kind = PACKED[compression]
    image = make_image(LAYERS, pack=pack, compression=kind)
    blob = digest(image.layers[1])
    if lie == "diffID":
        config = json.loads(image.config)
        config["rootfs"]["diff_ids"][1] = digest(b"another")
        image.blobs[digest(encode(config))] = encode(config)
        manifest = json.loads(image.manifest)
        manifest["config"] |= {"digest": digest(encode(config)), "size": len(encode(config))}
        image.manifest = encode(manifest)
        image.blobs[image.digest] = image.manifest
    base = f"oci-layout://{layout(tmp_path, image)}"
    if lie == "blob on disk":
        workshop.build("FROM base\n", contexts={"base": base})
        path = workshop.store / "blobs" / "sha256" / blob[7:]
        content = bytearray(path.read_bytes())
        content[len(content) // 3] ^= 1
        path.write_bytes(content)
    with pytest.raises(BaseImageError, match=rf"blob {blob}.*(damaged|cannot be unpacked)") as refused:
        workshop.build(DOCKERFILE, contexts={"base": base})
    assert refused.value.where is not None


def test_l18_a_layer_that_is_a_bomb_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    image = make_image([{"zeros": bytes(4 << 20)}])
    base = f"oci-layout://{layout(tmp_path, image)}"
    with pytest.raises(BaseImageError, match=r"more than the limit of 1048576 bytes \(--unpack-limit\)"):
        workshop.build("FROM base\nWORKDIR /w\n", contexts={"base": base}, limits=UnpackLimits(size=1 << 20))


def test_what_a_step_made_has_no_limit(workshop: Workshop, tmp_path: Path) -> None:
    """Its layer is unpacked again when the next step is not in the cache."""
    workshop.write("zeros", bytes(4 << 20))
    base = f"oci-layout://{layout(tmp_path, make_image())}"
    limits = UnpackLimits(size=1 << 20)
    workshop.build("FROM base\nCOPY zeros /z\n", contexts={"base": base}, limits=limits)
    again = workshop.build("FROM base\nCOPY zeros /z\nWORKDIR /w\n", contexts={"base": base}, limits=limits)
    assert again.recorder.statuses() == ["cached", "done"]


def test_an_older_variant_serves_and_a_newer_one_never(workshop: Workshop, tmp_path: Path) -> None:
    image = make_image(LAYERS, architecture="arm", variant="v6")
    index = make_index({"linux/arm/v6": image})
    contexts = {"base": f"oci-layout://{indexed(write_layout(tmp_path / 'layout', {'1': image}, [index]), index)}"}
    arm = Platform("linux", "arm", "v7")
    built = workshop.build("FROM base\n", contexts=contexts, platforms=(arm,)).built
    assert [layer.descriptor.digest.text for layer in built.image.layers] == [digest(blob) for blob in image.layers]
    with pytest.raises(BaseImageError, match="is not available for linux/arm/v5"):
        workshop.build("FROM base\n", contexts=contexts, platforms=(Platform("linux", "arm", "v5"),))
