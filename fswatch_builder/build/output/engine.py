"""Handing an image to the container engine of this machine, through its own ``load``."""

import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from tempfile import TemporaryFile
from typing import IO, Final

from fswatch_builder.errors import OutputError
from fswatch_builder.oci.output import Form, NamedImage, stream_archive
from fswatch_builder.oci.store import Store

_ENGINES: Final = ("docker", "podman")
#: What `docker info` says of its driver then.
_CONTAINERD: Final = b"io.containerd.snapshotter"
_TAIL: Final = 2000  # bytes of what it says that are shown


def find_engine() -> str | None:
    """The command of the first engine that is installed."""
    return next((engine for engine in _ENGINES if shutil.which(engine)), None)


def takes_index(engine: str) -> bool:
    """Whether it keeps the images of an index for all platforms: Docker with containerd's image store. Podman loads the
    one for its machine.
    """
    if engine != "docker":
        return False
    asked = [engine, "info", "--format", "{{.DriverStatus}}"]
    told = subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, check=False).stdout
    return _CONTAINERD in told


def load(engine: str, store: Store, images: Sequence[NamedImage]) -> None:
    """Runs ``ENGINE load`` with an archive of the images on its standard input. Raises OutputError, StoreError."""
    # Of an archive with docker save's manifest.json an engine may see nothing else.
    form: Form = "oci" if any(image.is_index for image in images) else "docker"
    with TemporaryFile() as said:
        with subprocess.Popen([engine, "load"], stdin=subprocess.PIPE, stdout=said, stderr=said) as process:
            try:
                # An engine that ends early says why; that it reads no more is not the news.
                with suppress(BrokenPipeError), _input(process) as sink:
                    stream_archive(store, images, form, sink)
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            raise OutputError(
                f"{engine} load ended with status {process.returncode}: {_tail(said)}",
                hint=f"is it running, and may you use it? try {engine} images",
            )


def _input(process: "subprocess.Popen[bytes]") -> IO[bytes]:
    if process.stdin is None:
        raise RuntimeError("it was started with a pipe")
    return process.stdin


def _tail(said: IO[bytes]) -> str:
    said.seek(max(0, said.seek(0, 2) - _TAIL))
    return said.read().decode("utf-8", "replace").strip() or "it said nothing"
