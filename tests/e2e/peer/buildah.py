"""Builds by buildah, in a storage of their own: no daemon, no network, no other user's images."""

import json
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.e2e.peer.image import Described, config, files

_POLICY = {"default": [{"type": "insecureAcceptAnything"}]}


class Buildah:
    """``base`` is the image that Dockerfiles call so, as an OCI archive."""

    def __init__(self, place: Path, base: Path, base_layers: int) -> None:
        self._place = place
        self._base_layers = base_layers
        place.mkdir()
        (place / "policy.json").write_text(json.dumps(_POLICY))
        image = self._run("pull", "--quiet", f"--signature-policy={place}/policy.json", f"oci-archive:{base}")
        self._run("tag", image, "localhost/base")

    def build(self, context: Path, dockerfile: Path, flags: Sequence[str]) -> Described:
        """The image of a Dockerfile."""
        written = self._place / "image"
        self._run(
            *("build", "--quiet", "--isolation=chroot", "--format=docker", "--layers", "--pull=never"),
            *("--identity-label=false", f"--signature-policy={self._place}/policy.json", *flags),
            *("--tag=localhost/built", f"--file={dockerfile}", str(context)),
        )
        self._run(
            *("push", "--quiet", "--disable-compression", f"--signature-policy={self._place}/policy.json"),
            *("localhost/built", f"dir:{written}"),
        )
        return self._read(written)

    def _read(self, written: Path) -> Described:
        manifest = json.loads((written / "manifest.json").read_text())
        document = json.loads((written / manifest["config"]["digest"].removeprefix("sha256:")).read_text())
        blobs = [written / layer["digest"].removeprefix("sha256:") for layer in manifest["layers"]]
        with ExitStack() as stack:
            found = files(stack.enter_context(blob.open("rb")) for blob in blobs)
        return Described(found, config(document), len(blobs))

    def remove(self) -> None:
        """All that it stored."""
        self._run("rmi", "--all", "--force")

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [
                *("buildah", "--root", str(self._place / "root"), "--runroot", str(self._place / "run")),
                *("--storage-driver=vfs", *arguments),
            ],
            capture_output=True,
            check=False,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, f"buildah {' '.join(arguments)}\n{done.stderr}"
        return done.stdout.strip()
