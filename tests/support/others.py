"""The layer that other builders make of a change to a root file system: umoci and buildah, each in its own way."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

Change = Callable[[Path], None]
"""What is done to a root file system."""

BASE = "base"


def umoci_layer(layout: Path, change: Change, work: Path) -> Path:
    """Unpacks ``layout``:base, changes it, and packs what differs: compared by mtree, path by path."""
    bundle = work / "bundle"
    _run("umoci", "unpack", "--image", f"{layout}:{BASE}", str(bundle))
    change(bundle / "rootfs")
    _run("umoci", "repack", "--image", f"{layout}:umoci", str(bundle))
    return _last_layer(layout, "umoci")


def buildah_layer(layout: Path, change: Change, work: Path) -> Path:
    """Mounts a container from ``layout``:base, changes it, and commits it with the driver that copies whole trees.

    (vfs: its changes are found by comparing two trees, on any file system; an overlay needs one to lie on.)
    """
    buildah = ["buildah", "--root", str(work / "storage"), "--runroot", str(work / "run"), "--storage-driver", "vfs"]
    container = _run(*buildah, "from", "--pull-never", f"oci:{layout}:{BASE}")
    try:
        change(Path(_run(*buildah, "mount", container)))
        _run(*buildah, "umount", container)
        _run(*buildah, "commit", "--disable-compression", container, f"oci:{work}/committed:out")
    finally:
        _run(*buildah, "rm", "--all")
        _run(*buildah, "rmi", "--all", "--force")
    return _last_layer(work / "committed", "out")


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"
    return done.stdout.strip()


def _last_layer(layout: Path, tag: str) -> Path:
    def blob(digest: str) -> Path:
        return layout / "blobs/sha256" / digest.removeprefix("sha256:")

    entries = json.loads((layout / "index.json").read_text())["manifests"]
    (entry,) = [
        entry for entry in entries if entry.get("annotations", {}).get("org.opencontainers.image.ref.name") == tag
    ]
    return blob(json.loads(blob(entry["digest"]).read_text())["layers"][-1]["digest"])
