"""``fswatch-builder inspect``: all that is known of images, as docker's JSON."""

import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from fswatch_builder.cli import image_options, options, values
from fswatch_builder.cli.failure import reported
from fswatch_builder.cli.opening import open_store
from fswatch_builder.cli.printable import json_text, printable_name
from fswatch_builder.cli.template import Template
from fswatch_builder.errors import BaseImageError, UsageError
from fswatch_builder.model.digest import Digest
from fswatch_builder.oci import documents
from fswatch_builder.oci.lookup import LocalImage, find_image, find_index
from fswatch_builder.oci.media_types import OCI_MANIFEST
from fswatch_builder.oci.store import Store

Format = Annotated[
    str | None,
    typer.Option("--format", "-f", metavar="FORM", help="json, or a template of {{.Field}} and {{json .Field}}."),
]
Raw = Annotated[
    str | None, typer.Option("--raw", metavar="PART", help="config, manifest or index: its bytes as they are stored.")
]
Type = Annotated[str, typer.Option("--type", metavar="image", help="Of docker: images are all there is.", hidden=True)]
Size = Annotated[bool, typer.Option("--size", "-s", help="Of docker: always so.", hidden=True)]


@reported
def inspect_command(
    images: image_options.Images,
    format_: Format = None,
    raw: Raw = None,
    platform: image_options.PlatformName = None,
    store: options.StoreDirectory = None,
    type_: Type = "image",
    size: Size = False,  # noqa: ARG001 - accepted for docker's scripts: images have no other
) -> None:
    """Show all that is known of images, as JSON.

    The members are docker's. If one of several images is not there, nothing is printed.

    \b
    Examples:
      fswatch-builder inspect app:1
      fswatch-builder inspect --format '{{json .Config.Env}}' app:1
      fswatch-builder inspect --raw config app:1 | sha256sum    # the image ID
    """  # noqa: D301 - the escape keeps the lines as they are
    values.choice("--type", type_, ("image",))
    template = None if format_ in (None, "", "json") else Template.parse(values.after_equals(format_ or ""))
    wanted = image_options.platform(platform)
    if raw is not None:
        values.choice("--raw", raw, ("config", "manifest", "index"))
        if len(images) > 1 or format_ is not None:
            raise UsageError("--raw is for one image, without --format")
    with open_store(values.store_directory(store)) as opened:
        if raw == "index":
            _print_raw(opened.read(_index(opened, images[0])))
            return
        found = [find_image(opened, text, wanted) for text in images]
        if raw is not None:
            _print_raw(opened.read(found[0].config if raw == "config" else found[0].manifest))
            return
        told = [_document(opened, image) for image in found]
    if template is not None:
        for line in [template.render(document) for document in told]:
            print(line)
    else:
        print(json_text(told, indent=None if format_ == "json" else 4))


def _index(store: Store, text: str) -> Digest:
    index = find_index(store, text) or find_image(store, text).index
    if index is None:
        raise BaseImageError(f"{text} is one image and in no index", hint="--raw manifest prints its manifest")
    return index


def _print_raw(content: bytes) -> None:
    """Exactly, but for a terminal, which no image may steer."""
    if sys.stdout.isatty():
        for line in content.decode("utf-8", "surrogateescape").split("\n"):
            print(printable_name(line))
    else:
        sys.stdout.buffer.write(content)


def _document(store: Store, image: LocalImage) -> Mapping[str, object]:
    read = store.load_image(image.manifest)  # refuses a configuration of nonsense
    config: dict[str, Any] = documents.decode(store.read(image.config), dict[str, Any], f"image {image.config}")
    repositories = dict.fromkeys(name.familiar_repository() for name in image.names)
    told: dict[str, object] = {
        "Id": str(image.config),
        "RepoTags": [name.familiar() for name in image.names],
        "RepoDigests": [f"{repository}@{image.named}" for repository in repositories],
        "Comment": read.history[-1].comment if read.history else "",
        "Created": config.get("created"),
        "Author": read.author,
        "Config": config.get("config") or {},
        "Architecture": image.platform.architecture,
        **({"Variant": image.platform.variant} if image.platform.variant else {}),
        "Os": image.platform.os,
        "Size": image.size,
        "RootFS": {"Type": "layers", "Layers": [str(layer.diff_id) for layer in read.layers]},
        "Descriptor": {
            "mediaType": OCI_MANIFEST,
            "digest": str(image.manifest),
            "size": store.size(image.manifest),
        },
        "LayersData": [
            {
                "MIMEType": layer.descriptor.media_type,
                "Digest": str(layer.descriptor.digest),
                "Size": layer.descriptor.size,
                "DiffID": str(layer.diff_id),
            }
            for layer in read.layers
        ],
    }
    return told
