"""The media types of images: OCI's, and Docker's schema 2 that means the same.

What is read is turned into OCI's at once, so that everything written is of one family.
"""

from typing import Final

OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
OCI_LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_LAYER_ZSTD: Final = "application/vnd.oci.image.layer.v1.tar+zstd"

DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER: Final = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP: Final = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_LAYER_ZSTD: Final = "application/vnd.docker.image.rootfs.diff.tar.zstd"

INDEXES: Final = frozenset({OCI_INDEX, DOCKER_LIST})
MANIFESTS: Final = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
CONFIGS: Final = frozenset({OCI_CONFIG, DOCKER_CONFIG})
LAYERS: Final = frozenset({OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD})

_OCI_LAYERS: Final = {
    DOCKER_LAYER: OCI_LAYER,
    DOCKER_LAYER_GZIP: OCI_LAYER_GZIP,
    DOCKER_LAYER_ZSTD: OCI_LAYER_ZSTD,
} | {media_type: media_type for media_type in LAYERS}


def oci_layer(media_type: str) -> str:
    """The OCI name of a layer's media type. Raises ValueError for what is no layer we can unpack."""
    try:
        return _OCI_LAYERS[media_type]
    except KeyError:
        if "foreign" in media_type or "nondistributable" in media_type:
            raise ValueError(f"a layer is not distributed with the image ({media_type})") from None
        raise ValueError(f"unknown media type of a layer: {media_type!r}") from None
