"""A base image in a file that every builder can take in."""

import tempfile

from fswatch_builder.build.bases import bases
from fswatch_builder.model.digest import Digest
from fswatch_builder.model.platform import Platform
from fswatch_builder.oci.family import oci_manifest
from fswatch_builder.oci.output import NamedImage, write_archive
from fswatch_builder.oci.reference import Reference
from fswatch_builder.oci.store import Store


def write_base(store: Store, manifest: Digest, name: str, path: str) -> None:
    """An image of the store, as an archive for ``docker load`` that is an OCI layout too. BuildError."""
    write_archive(store, [NamedImage(oci_manifest(store, manifest), (Reference.parse(name),))], "docker", path)


def base_archive(rootfs: str, name: str, path: str, directory: str) -> None:
    """The same of a root file system, a directory or a tar; ``directory`` has room for one more copy. BuildError."""
    with tempfile.TemporaryDirectory(dir=directory) as place, Store.open(place) as store:
        write_base(store, bases(rootfs, store, Platform.host()), name, path)
