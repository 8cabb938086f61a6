"""Small images made by hand, as layouts on disk."""

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict, Unpack

from fswatch_builder.model.digest import Digest
from fswatch_builder.model.image import Descriptor
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.store import Store

OCI = "application/vnd.oci.image"
DOCKER = "application/vnd.docker"


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def tar_of(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


class Fields(TypedDict, total=False):
    """Of a TarInfo, what `member` does not set by itself or what it sets otherwise."""

    mode: int
    uid: int
    gid: int
    mtime: int
    pax_headers: dict[str, str]


def member(
    name: str, content: bytes = b"", *, kind: bytes = tarfile.REGTYPE, link: str = "", **fields: Unpack[Fields]
) -> tuple[tarfile.TarInfo, bytes]:
    """One member of a tar by hand: also what no honest writer writes. ``fields`` are those of TarInfo."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size, info.mtime = kind, link, len(content), 1_600_000_000
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    for field_name, value in fields.items():
        setattr(info, field_name, value)
    return info, content


def layer_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A plain tar of members in their order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def encode(document: object) -> bytes:
    return json.dumps(document).encode()


@dataclass
class MadeImage:
    """An image as blobs. ``manifest`` is its manifest's bytes."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifest: bytes = b""
    config: bytes = b""
    layers: list[bytes] = field(default_factory=list)
    media_type: str = f"{OCI}.manifest.v1+json"

    @property
    def digest(self) -> str:
        return digest(self.manifest)

    def descriptor(self, **more: object) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.manifest), **more}


def make_image(
    files: Sequence[Mapping[str, bytes] | bytes] = ({"hello": b"world"},),
    *,
    architecture: str = "amd64",
    variant: str = "",
    docker: bool = False,
    config: Mapping[str, object] | None = None,
    pack: Callable[[bytes], bytes] = lambda plain: gzip.compress(plain, mtime=0),
    compression: str = "gzip",
) -> MadeImage:
    """One layer for each tar or mapping of names to contents, packed by ``pack`` and called so ("": uncompressed)."""
    image = MadeImage(media_type=f"{DOCKER}.distribution.manifest.v2+json" if docker else f"{OCI}.manifest.v1+json")
    layer_type = (
        f"{DOCKER}.image.rootfs.diff.tar.gzip" if docker else f"{OCI}.layer.v1.tar{compression and '+'}{compression}"
    )
    plain = [names if isinstance(names, bytes) else tar_of(names) for names in files]
    packed = [pack(tar) for tar in plain]
    document: dict[str, object] = {
        "architecture": architecture,
        "os": "linux",
        "config": config if config is not None else {"Cmd": ["sh"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(tar) for tar in plain]},
        "history": [
            {"created": "2024-01-02T03:04:05.123456789Z", "created_by": f"layer {n}"} for n in range(len(plain))
        ],
    }
    if variant:
        document["variant"] = variant
    image.config = encode(document)
    image.layers = packed
    config_type = f"{DOCKER}.container.image.v1+json" if docker else f"{OCI}.config.v1+json"
    image.manifest = encode(
        {
            "schemaVersion": 2,
            "mediaType": image.media_type,
            "config": {"mediaType": config_type, "digest": digest(image.config), "size": len(image.config)},
            "layers": [{"mediaType": layer_type, "digest": digest(blob), "size": len(blob)} for blob in packed],
        }
    )
    for content in (image.config, image.manifest, *packed):
        image.blobs[digest(content)] = content
    return image


def with_config(image: MadeImage, document: Mapping[str, object]) -> MadeImage:
    """The image with another configuration."""
    config = encode(document)
    manifest = json.loads(image.manifest)
    manifest["config"] |= {"digest": digest(config), "size": len(config)}
    changed = MadeImage(manifest=encode(manifest), config=config, layers=image.layers, media_type=image.media_type)
    changed.blobs = {digest(content): content for content in (config, changed.manifest, *image.layers)}
    return changed


def dated(image: MadeImage, year: int) -> MadeImage:
    """The image as if made in that year."""
    return with_config(image, {**json.loads(image.config), "created": f"{year}-01-01T00:00:00Z"})


def make_index(images: Mapping[str, MadeImage], *, docker: bool = False) -> bytes:
    """``images`` by platform, ``os/arch[/variant]``."""
    media_type = f"{DOCKER}.distribution.manifest.list.v2+json" if docker else f"{OCI}.index.v1+json"
    entries = []
    for platform, image in images.items():
        system, architecture, *variant = platform.split("/")
        stated = {"os": system, "architecture": architecture} | ({"variant": variant[0]} if variant else {})
        entries.append(image.descriptor(platform=stated))
    return encode({"schemaVersion": 2, "mediaType": media_type, "manifests": entries})


def put_in_store(store: Path, images: Mapping[str, MadeImage]) -> None:
    """``images`` by name."""
    with Store.open(str(store)) as opened:
        for name, image in images.items():
            for content in image.blobs.values():
                opened.put(content)
            manifest = Descriptor(image.media_type, Digest(image.digest), len(image.manifest))
            opened.tag(Reference.parse(name), manifest, opened.load_image(manifest.digest).platform)


def write_layout(directory: Path, images: Mapping[str, MadeImage], extra: Sequence[bytes] = ()) -> Path:
    """An OCI layout of ``images`` by tag."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for image in images.values():
        for name, content in image.blobs.items():
            (blobs / name.removeprefix("sha256:")).write_bytes(content)
    for content in extra:
        (blobs / digest(content).removeprefix("sha256:")).write_bytes(content)
    entries = [
        image.descriptor(annotations={"org.opencontainers.image.ref.name": tag}) for tag, image in images.items()
    ]
    (directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (directory / "index.json").write_bytes(encode({"schemaVersion": 2, "manifests": entries}))
    return directory


def tar_directory(directory: Path, archive: Path) -> Path:
    """The directory's content in a plain tar."""
    with tarfile.open(archive, "w") as tar:
        for name in sorted(os.listdir(directory)):
            tar.add(directory / name, name)
    return archive


def saved(path: Path, images: Mapping[str, MadeImage], *, plain: bool = True) -> Path:
    """As docker save did before version 25: a directory a layer, equal layers as links."""
    entries = []
    seen: dict[bytes, str] = {}
    with tarfile.open(path, "w") as tar:

        def add(name: str, content: bytes) -> None:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))

        for tag, image in images.items():
            names = []
            for number, blob in enumerate(image.layers):
                content = gzip.decompress(blob) if plain else blob
                identity = digest(f"{tag}{number}".encode())[7:]
                name = f"{identity}/layer.tar"
                if content in seen:
                    link = tarfile.TarInfo(name)
                    link.type, link.linkname = tarfile.SYMTYPE, f"../{seen[content]}"
                    tar.addfile(link)
                else:
                    add(name, content)
                    seen[content] = name
                names.append(name)
            config = f"{digest(image.config)[7:]}.json"
            add(config, image.config)
            entries.append({"Config": config, "RepoTags": [tag], "Layers": names})
        add("manifest.json", encode(entries))
        add("repositories", b"{}")
    return path
