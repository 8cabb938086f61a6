"""A root file system tar as the simplest image every peer can import."""

import hashlib
import io
import json
import os
import tarfile


def docker_archive(rootfs_tar: str, target: str, name: str) -> None:
    """Writes a one-layer ``docker load`` archive around ``rootfs_tar``."""
    digest = hashlib.sha256()
    with open(rootfs_tar, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    config = json.dumps(
        {
            "architecture": "amd64" if os.uname().machine == "x86_64" else "arm64",
            "os": "linux",
            "config": {"Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest.hexdigest()}"]},
        }
    ).encode()
    config_name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(target, "w") as archive:
        archive.add(rootfs_tar, "layer.tar")
        for member, content in ((config_name, config), ("manifest.json", manifest)):
            header = tarfile.TarInfo(member)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
