"""Manifests of one family: what leaves the store has OCI media types throughout."""

from msgspec.structs import replace

from fswatch_builder.errors import BaseImageError
from fswatch_builder.model.digest import Digest
from fswatch_builder.model.image import Descriptor
from fswatch_builder.oci import documents, media_types
from fswatch_builder.oci.index import Member
from fswatch_builder.oci.store import Store


def oci_manifest(store: Store, manifest: Digest) -> Descriptor:
    """The descriptor of an image's manifest. One with Docker's media types is written anew; its configuration, and with
    it the image ID, stays. Raises BaseImageError, StoreError.
    """
    what = f"image {manifest}"
    content = store.read(manifest)
    read = documents.read_manifest(content, "", what)
    if isinstance(read, documents.Index):
        raise BaseImageError(f"{what} is an index of several images")
    own = documents.manifest_media_type(content, "", what)
    stated = {own, read.config.media_type, *documents.layer_media_types(content, what)}
    if stated <= {media_types.OCI_MANIFEST, media_types.OCI_CONFIG, *media_types.LAYERS}:
        return Descriptor(media_types.OCI_MANIFEST, manifest, len(content))
    config = Descriptor(media_types.OCI_CONFIG, read.config.digest, read.config.size)
    written = documents.write_manifest(config, store.load_image(manifest).layers)
    return Descriptor(media_types.OCI_MANIFEST, store.put(written), len(written))


def oci_index(store: Store, index: Digest) -> Descriptor:
    """The descriptor of an index. One with Docker's media types, its own or those of images in it, is written anew with
    the images that are here. Raises BaseImageError, StoreError.
    """
    content = store.read(index)
    members = store.members(index)
    converted = [
        Member(
            replace(oci_manifest(store, member.manifest.digest), annotations=member.manifest.annotations),
            member.platform,
        )
        for member in members
    ]
    own = documents.manifest_media_type(content, "", f"image {index}")
    if own == media_types.OCI_INDEX and converted == list(members):
        return Descriptor(media_types.OCI_INDEX, index, len(content))
    return store.put_index(converted)
