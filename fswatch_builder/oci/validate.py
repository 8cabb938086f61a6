"""A last look at an image, or at all of an index, before it leaves the store."""

import os

from msgspec import Struct

from fswatch_builder.errors import BaseImageError, OutputError, StoreError
from fswatch_builder.model.image import Descriptor
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci import configuration, documents, media_types
from fswatch_builder.oci.documents import Index, Manifest
from fswatch_builder.oci.index import references
from fswatch_builder.oci.store import Store


class Whole(Struct, frozen=True):
    """What leaves the store for one name: ``blobs`` are all of it, ``images`` those in it by the platform they are for,
    of an index in its order.
    """

    blobs: tuple[Descriptor, ...]
    images: tuple[tuple[Platform, Manifest], ...]


def validate_all(store: Store, descriptor: Descriptor) -> Whole:
    """An image, or an index with all that is here of it, if every image is whole. Raises OutputError, StoreError."""
    if descriptor.media_type != media_types.OCI_INDEX:
        manifest = validate(store, descriptor)
        platform = store.load_image(descriptor.digest).platform
        return Whole((descriptor, manifest.config, *manifest.layers), ((platform, manifest),))
    what = f"image {descriptor.digest}"
    blobs = [descriptor]
    images = []
    try:
        members = store.members(descriptor.digest)
        others = references(store.read(descriptor.digest), what).manifests
    except BaseImageError as error:
        raise OutputError(error.what) from error
    for member in members:
        manifest = validate(store, member.manifest)
        images.append((member.platform, manifest))
        blobs += (member.manifest, manifest.config, *manifest.layers)
    if not images:
        raise OutputError(f"{what} is an index of no image that is here")
    known = {member.manifest.digest for member in members}
    for other in others:
        if other.digest not in known and store.has(other.digest):  # an attestation
            blobs += (other, *references(store.read(other.digest), f"{what}: {other.digest}").blobs)
    return Whole(tuple(blobs), tuple(images))


def validate(store: Store, descriptor: Descriptor) -> Manifest:
    """The manifest, if the image is whole and of one family: OCI media types, all blobs there with the sizes stated, a
    configuration that lists these layers. (What its history says is the business of who wrote it: a new image's fits.)

    Raises OutputError, StoreError.
    """
    what = f"image {descriptor.digest}"
    if descriptor.media_type != media_types.OCI_MANIFEST:
        raise OutputError(f"{what} is of media type {descriptor.media_type}, not an OCI manifest")
    content = store.read(descriptor.digest)
    if len(content) != descriptor.size:
        raise OutputError(f"{what} has {len(content)} bytes, not {descriptor.size}")
    try:
        families = documents.layer_media_types(content, what)
        manifest = documents.read_manifest(content, descriptor.media_type, what)
        if isinstance(manifest, Index):
            raise OutputError(f"{what} is an index")
        configuration.read(store.read(manifest.config.digest), manifest, what)
    except BaseImageError as error:
        raise OutputError(error.what) from error
    if manifest.config.media_type != media_types.OCI_CONFIG or not families <= media_types.LAYERS:
        raise OutputError(f"{what} mixes media types: {', '.join(sorted({manifest.config.media_type, *families}))}")
    for blob in (manifest.config, *manifest.layers):
        if not store.has(blob.digest):
            raise StoreError(
                f"blob {blob.digest} of {what} is missing in {store.directory}", hint="build with --no-cache"
            )
        size = os.stat(store.blob_path(blob.digest)).st_size
        if size != blob.size:
            raise StoreError(
                f"blob {blob.digest} of {what} has {size} bytes, not {blob.size}",
                hint=f"remove {store.blob_path(blob.digest)} and build with --no-cache",
            )
    return manifest
