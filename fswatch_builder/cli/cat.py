"""``fswatch-builder cat``: a file of an image."""

import os
import sys
from typing import Annotated

import typer

from fswatch_builder.cli import image_options, options, values
from fswatch_builder.cli.failure import reported
from fswatch_builder.cli.opening import open_store
from fswatch_builder.cli.patience import patience
from fswatch_builder.errors import BaseImageError, OutputError
from fswatch_builder.oci.files import ImageFiles
from fswatch_builder.oci.lookup import find_image

Path = Annotated[str, typer.Argument(metavar="PATH", help="Of the file, as a container of the image would see it.")]


@reported
def cat_command(
    image: image_options.Image,
    path: Path,
    platform: image_options.PlatformName = None,
    store: options.StoreDirectory = None,
) -> None:
    """Print a file of an image.

    Links are followed inside the image, and nothing is unpacked. A relative PATH starts at the image's root.

    \b
    Examples:
      fswatch-builder cat app:1 /etc/os-release
      fswatch-builder cat app:1 /usr/bin/app > app
    """  # noqa: D301 - the escape keeps the lines as they are
    with open_store(values.store_directory(store)) as opened:
        path = path or "/"
        found = find_image(opened, image, image_options.platform(platform))
        with patience(f"reading the layers of {image}"):
            files = ImageFiles(opened, opened.load_image(found.manifest).layers)
        exact = files.resolve(path)
        _check(files, exact, path, image)
        sys.stdout.flush()
        try:
            files.copy(exact, sys.stdout.fileno())
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(f"cannot write to standard output: {error.strerror or error}") from error


def _check(files: ImageFiles, exact: bytes, path: str, image: str) -> None:
    """Whether it is a file; else what it is instead, or how far the way there goes. Raises BaseImageError."""
    entry = files.entry(exact)
    shown = "/" + os.fsdecode(exact)
    leads = f", which leads to {shown}" if shown != "/" + path.strip("/") else ""
    if entry is None:
        above = exact
        while above and files.entry(above) is None:
            above = above.rpartition(b"/")[0]
        known = files.entry(above)
        if known is not None and known.kind != "directory":
            raise BaseImageError(f"{path}{leads} is not in {image}: /{os.fsdecode(above)} is no directory")
        raise BaseImageError(f"there is no {path}{leads} in {image}", hint=_listed(files, above))
    if path.endswith("/") and entry.kind != "directory":
        raise BaseImageError(f"{path} is not in {image}: {shown} is no directory")
    if entry.kind == "directory":
        raise BaseImageError(f"{path}{leads} is a directory of {image}", hint=_listed(files, exact))
    if entry.kind != "file":
        raise BaseImageError(f"{path}{leads} is not a file of {image} but a {entry.kind}")


def _listed(files: ImageFiles, directory: bytes) -> str:
    names = [os.fsdecode(name) for name in files.names(directory)]
    shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    return f"/{os.fsdecode(directory)} has {shown or 'nothing in it'}"
